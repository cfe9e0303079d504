// It waits without the lock.
// expect: nothing
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
      lock.unlock();
      awaken_keepalive.recv();
    }
  }
  void new_stream() {
    std::lock_guard lock(mu);
    if (++active_streams == 1) awaken_keepalive.try_send();
  }
};

void start() {
  auto client = std::make_shared<Http2Client>();
  stray::go([client] { client->keepalive(); });
  stray::testing::until_parked(1);
  stray::go([client] { client->new_stream(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
