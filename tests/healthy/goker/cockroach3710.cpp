// The scan gives its read lock back before it asks the replicas.
// expect: nothing
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
    lock.unlock();
    gate.recv();
    for (const Replica& r : replicas) raft_log_queue.maybe_add(r);
  }
  void raft_status() { std::shared_lock lock(mu); }
  void process_raft() {
    stray::go([self = shared_from_this()] { std::lock_guard lock(self->mu); });
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
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
