// It sends an event or finds that it has been stopped.
// expect: nothing
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
  void send_watch_cache_event(int event) { stray::select(stray::on_send(result, event), stray::on_recv(done)); }
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
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
