// Reader, writer, reader: the scan holds the store's read lock while it asks each replica, which takes the read lock again; a writer has
// come in between.
// expect: 1 Store::process_raft::lambda [sync.RWMutex.Lock] cycle @write
// expect: 1 Store::raft_status [sync.RWMutex.RLock] cycle @again
// go: allowed
// cause: they wait for each other: goroutine N at @again [sync.RWMutex.RLock] -> goroutine N at @write [sync.RWMutex.Lock] -> goroutine N
// cause: they wait for each other: goroutine N at @write [sync.RWMutex.Lock] -> goroutine N at @again [sync.RWMutex.RLock] -> goroutine N
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "report.hpp"

struct Store;

struct Replica {
  Store* store;
};

struct BaseQueue {
  stray::mutex mu;

  void maybe_add(const Replica& r);
};

struct Store : std::enable_shared_from_this<Store> {
  BaseQueue raft_log_queue;
  std::vector<Replica> replicas{{this}, {this}};
  stray::shared_mutex mu;

  void force_raft_log_scan_and_process(const stray::recv_chan<void>& gate) {
    std::shared_lock lock(mu);
    gate.recv();
    for (const Replica& r : replicas) raft_log_queue.maybe_add(r);
  }
  void raft_status() {
    std::shared_lock lock(mu);  // here: again
  }
  void process_raft() {
    stray::go([self = shared_from_this()] {
      std::lock_guard lock(self->mu);  // here: write
    });
  }
};

void BaseQueue::maybe_add(const Replica& r) {
  std::lock_guard lock(mu);
  r.store->raft_status();
}

void start() {
  auto gate = stray::make_chan<void>();
  auto store = std::make_shared<Store>();
  stray::go([store, gate = stray::recv_chan<void>(gate)] { store->force_raft_log_scan_and_process(gate); });
  stray::testing::until_parked(1);
  store->process_raft();
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
