// Who gets a lease by name gives the cache's lock back before the lease's is taken.
// expect: nothing
#include <map>
#include <memory>
#include <mutex>

#include "report.hpp"

struct LeaseState {
  stray::mutex mu;
  int id = 0;
};

struct TableNameCache {
  stray::mutex mu;
  std::map<int, std::shared_ptr<LeaseState>> tables;

  void get(int id, const stray::recv_chan<void>& gate) {
    std::unique_lock lock(mu);
    auto found = tables.find(id);
    if (found == tables.end()) return;
    std::shared_ptr<LeaseState> lease = found->second;
    lock.unlock();
    gate.recv();
    std::lock_guard locked(lease->mu);
  }
  void remove(const LeaseState& lease) {
    std::lock_guard lock(mu);
    tables.erase(lease.id);
  }
};

struct TableState {
  std::shared_ptr<TableNameCache> cache;
  stray::mutex mu;

  void release(LeaseState& lease, const stray::recv_chan<void>& gate) {
    std::lock_guard lock(mu);
    std::lock_guard locked(lease.mu);
    gate.recv();
    cache->remove(lease);
  }
};

void start() {
  auto gate = stray::make_chan<void>();
  auto lease = std::make_shared<LeaseState>();
  auto names = std::make_shared<TableNameCache>();
  names->tables[0] = lease;
  auto table = std::make_shared<TableState>(names);
  stray::go([names, gate = stray::recv_chan<void>(gate)] { names->get(0, gate); });
  stray::go([table, lease, gate = stray::recv_chan<void>(gate)] { table->release(*lease, gate); });
  stray::testing::until_parked(2);
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
