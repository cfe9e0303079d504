// A loop takes a pod's status from a channel, then locks the statuses. Who sets the next status holds the lock already, and waits for the
// loop to take it.
// expect: 1 StatusManager::delete_pod_status [sync.RWMutex.Lock] proven @lock
// expect: 1 StatusManager::set_pod_status [chan send] proven @status
// go: allowed
// cause: they wait for each other: goroutine N at @lock [sync.RWMutex.Lock] -> goroutine N at @status [chan send] -> goroutine N
#include <memory>
#include <mutex>

#include "report.hpp"

struct StatusManager : std::enable_shared_from_this<StatusManager> {
  stray::shared_mutex statuses_lock;
  stray::chan<bool> status = stray::make_chan<bool>();

  void start(const stray::recv_chan<void>& gate) {
    stray::go([self = shared_from_this(), gate] {
      for (int i = 0; i < 2; i++) self->sync_batch(gate);
    });
  }
  void sync_batch(const stray::recv_chan<void>& gate) {
    status.recv();
    gate.recv();
    delete_pod_status();
  }
  void delete_pod_status() {
    std::lock_guard lock(statuses_lock);  // here: lock
  }
  void set_pod_status() {
    std::unique_lock lock(statuses_lock);
    status.send(true);  // here: status
  }
};

void start() {
  auto gate = stray::make_chan<void>();
  auto s = std::make_shared<StatusManager>();
  s->start(gate);
  s->set_pod_status();
  stray::testing::until_parked(1);
  stray::go([s] { s->set_pod_status(); });
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
