// Who writes a frame holds the write lock and sends a reset that nobody takes. The monitor would close the reset's channel when the
// connection is closed, but needs the write lock for that.
// expect: 1 IdleAwareFramer::monitor [sync.Mutex.Lock] proven @lock
// expect: 1 IdleAwareFramer::write_frame [chan send] proven @reset
// go: allowed
// cause: they wait for each other: goroutine N at @lock [sync.Mutex.Lock] -> goroutine N at @reset [chan send] -> goroutine N
#include <memory>
#include <mutex>

#include "report.hpp"

struct IdleAwareFramer {
  stray::chan<bool> reset = stray::make_chan<bool>();
  stray::mutex write_lock;
  stray::chan<bool> connection_closed = stray::make_chan<bool>();

  void monitor() {
    auto own = reset;
    connection_closed.recv();
    std::lock_guard lock(write_lock);  // here: lock
    own.close();
    reset = {};
  }
  void write_frame() {
    std::lock_guard lock(write_lock);
    if (!reset) return;
    reset.send(true);  // here: reset
  }
};

void start() {
  auto framer = std::make_shared<IdleAwareFramer>();
  stray::go([framer] { framer->write_frame(); });
  stray::go([framer] { framer->monitor(); });
  stray::testing::until_parked(2);
  framer->connection_closed.send(true);
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
