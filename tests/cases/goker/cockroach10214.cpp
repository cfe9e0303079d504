// Queued heartbeats are sent under the store's lock, and lock the replica. The replica's tick has it locked, and wants to queue a heartbeat
// in the store.
// expect: 1 Replica::maybe_coalesce_heartbeat [sync.Mutex.Lock] cycle @store
// expect: 1 Replica::report_unreachable [sync.Mutex.Lock] cycle @replica
// go: allowed
// cause: they wait for each other: goroutine N at @replica [sync.Mutex.Lock] -> goroutine N at @store [sync.Mutex.Lock] -> goroutine N
// cause: they wait for each other: goroutine N at @store [sync.Mutex.Lock] -> goroutine N at @replica [sync.Mutex.Lock] -> goroutine N
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "report.hpp"

struct Replica;

struct Store {
  stray::mutex coalesced_mu;
  std::vector<int> heartbeat_responses{1, 2};
  std::vector<std::shared_ptr<Replica>> replicas;

  void send_queued_heartbeats(const stray::recv_chan<void>& gate);
};

struct Replica {
  Store* store;
  stray::mutex raft_mu, mu;

  explicit Replica(Store* s) : store(s) {}
  void report_unreachable() {
    std::lock_guard lock(raft_mu);  // here: replica
  }
  void tick(const stray::recv_chan<void>& gate) {
    std::lock_guard raft_lock(raft_mu);
    gate.recv();
    std::lock_guard lock(mu);
    maybe_coalesce_heartbeat();
  }
  void maybe_coalesce_heartbeat() {
    std::lock_guard lock(store->coalesced_mu);  // here: store
  }
};

void Store::send_queued_heartbeats(const stray::recv_chan<void>& gate) {
  std::unique_lock lock(coalesced_mu);
  gate.recv();
  for (std::size_t i = 0; i < heartbeat_responses.size(); i++) {
    for (const auto& r : replicas) r->report_unreachable();
  }
}

void start() {
  auto gate = stray::make_chan<void>();
  auto store = std::make_shared<Store>();
  for (int i = 0; i < 2; i++) store->replicas.push_back(std::make_shared<Replica>(store.get()));
  stray::go([store, gate = stray::recv_chan<void>(gate)] { store->send_queued_heartbeats(gate); });
  stray::go([store, gate = stray::recv_chan<void>(gate)] { store->replicas[0]->tick(gate); });
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
