// One gets a lease by name: the cache's lock, then the lease's. Another releases it: the lease's, then the cache's.
// expect: 1 TableNameCache::get [sync.Mutex.Lock] cycle @lease
// expect: 1 TableNameCache::remove [sync.Mutex.Lock] cycle @cache
// go: required
// cause: they wait for each other: goroutine N at @lease [sync.Mutex.Lock] -> goroutine N at @cache [sync.Mutex.Lock] -> goroutine N
// cause: they wait for each other: goroutine N at @cache [sync.Mutex.Lock] -> goroutine N at @lease [sync.Mutex.Lock] -> goroutine N
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
    gate.recv();
    std::lock_guard locked(lease->mu);  // here: lease
  }
  void remove(const LeaseState& lease) {
    std::lock_guard lock(mu);  // here: cache
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
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
