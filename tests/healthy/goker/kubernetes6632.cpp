// From the end of the connection on somebody takes the resets, until their channel is closed.
// expect: nothing
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
    stray::go([own] {
      while (own.recv()) {
      }
    });
    std::lock_guard lock(write_lock);
    own.close();
    reset = {};
  }
  void write_frame() {
    std::lock_guard lock(write_lock);
    if (!reset) return;
    reset.send(true);
  }
};

void start() {
  auto framer = std::make_shared<IdleAwareFramer>();
  stray::go([framer] { framer->write_frame(); });
  stray::go([framer] { framer->monitor(); });
  stray::testing::until_parked(2);
  framer->connection_closed.send(true);
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
