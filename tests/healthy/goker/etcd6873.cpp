// Stop waits without the lock.
// expect: nothing
#include <memory>
#include <mutex>

#include "report.hpp"

struct WatchBroadcasts : std::enable_shared_from_this<WatchBroadcasts> {
  stray::mutex mu;
  stray::chan<int> update_chan = stray::make_chan<int>(1);
  stray::chan<void> done = stray::make_chan<void>();

  void run(const stray::recv_chan<void>& gate) {
    stray::go([self = shared_from_this(), gate] {
      while (self->update_chan.recv()) {
        gate.recv();
        self->coalesce();
      }
      self->done.close();
    });
  }
  void coalesce() { std::lock_guard lock(mu); }
  void stop() {
    std::unique_lock lock(mu);
    update_chan.close();
    lock.unlock();
    done.recv();
  }
  void update() { update_chan.try_send(1); }
};

void start() {
  auto gate = stray::make_chan<void>();
  auto broadcasts = std::make_shared<WatchBroadcasts>();
  broadcasts->run(gate);
  broadcasts->update();
  stray::testing::until_parked(1);
  stray::go([broadcasts] { broadcasts->stop(); });
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
