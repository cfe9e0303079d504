// A broadcast is about to be merged under the lock. Stop holds it, and waits until all broadcasts are merged.
// expect: 1 WatchBroadcasts::coalesce [sync.Mutex.Lock] proven @merge
// expect: 1 WatchBroadcasts::stop [chan receive] proven @merged
// go: allowed
// cause: is held by goroutine N, which is itself leaked; they wait for each other: goroutine N at @merge [sync.Mutex.Lock] -> goroutine N at @merged [chan receive] -> goroutine N
// cause: they wait for each other: goroutine N at @merged [chan receive] -> goroutine N at @merge [sync.Mutex.Lock] -> goroutine N
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
  void coalesce() {
    std::lock_guard lock(mu);  // here: merge
  }
  void stop() {
    std::unique_lock lock(mu);
    update_chan.close();
    done.recv();  // here: merged
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
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
