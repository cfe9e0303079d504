// A status is sent without the lock.
// expect: nothing
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
  void delete_pod_status() { std::lock_guard lock(statuses_lock); }
  void set_pod_status() {
    std::unique_lock lock(statuses_lock);
    lock.unlock();
    status.send(true);
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
