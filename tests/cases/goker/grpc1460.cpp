// Without a stream, keepalive waits to be awakened, and keeps the client locked. Who opens a stream would awaken it, but needs the lock.
// expect: 1 Http2Client::keepalive [chan receive] proven @awaken
// expect: 1 Http2Client::new_stream [sync.Mutex.Lock] proven @lock
// go: allowed
// cause: they wait for each other: goroutine N at @awaken [chan receive] -> goroutine N at @lock [sync.Mutex.Lock] -> goroutine N
#include <memory>
#include <mutex>

#include "report.hpp"

struct Http2Client {
  stray::mutex mu;
  stray::chan<void> awaken_keepalive = stray::make_chan<void>();
  int active_streams = 0;

  void keepalive() {
    std::unique_lock lock(mu);
    if (active_streams < 1) {
      awaken_keepalive.recv();  // here: awaken
    }
  }
  void new_stream() {
    std::lock_guard lock(mu);  // here: lock
    if (++active_streams == 1) awaken_keepalive.try_send();
  }
};

void start() {
  auto client = std::make_shared<Http2Client>();
  stray::go([client] { client->keepalive(); });
  stray::testing::until_parked(1);
  stray::go([client] { client->new_stream(); });
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
