// A watcher sends the first events before it looks whether it has been stopped. Who started it stopped it at once and takes no event.
// expect: 1 CacheWatcher::send_watch_cache_event [chan send] proven @event
// go: required
// cause: nobody alive can receive
#include <memory>
#include <mutex>
#include <vector>

#include "report.hpp"

struct CacheWatcher {
  stray::mutex mu;
  stray::chan<int> input = stray::make_chan<int>(), result = stray::make_chan<int>();
  stray::chan<void> done = stray::make_chan<void>();
  bool stopped = false;

  void process(const std::vector<int>& first) {
    for (int event : first) send_watch_cache_event(event);
    while (input.recv()) {
    }
    stop();
    result.close();
  }
  void send_watch_cache_event(int event) {
    result.send(event);  // here: event
  }
  void stop() {
    std::lock_guard lock(mu);
    if (std::exchange(stopped, true)) return;
    done.close();
    input.close();
  }
};

std::shared_ptr<CacheWatcher> new_cache_watcher(const std::vector<int>& first) {
  auto watcher = std::make_shared<CacheWatcher>();
  stray::go([watcher, first] { watcher->process(first); });
  return watcher;
}

void start() {
  auto w = new_cache_watcher({1, 2});
  stray::testing::until_parked(1);
  w->stop();
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
