// Two transfers report their progress on one channel, and who reads it has gone after the first. The first transfer is released, reports
// once more, and nobody takes it; the test waits for that watcher to end, and the second transfer's watcher waits for the test to release
// it.
// expect: 1 Transfer::watch::lambda [chan send] proven @progress
// expect: 1 Transfer::watch::lambda [select] proven @released
// expect: 1 Transfer::release [chan receive] proven @running
// go: allowed
// cause: they wait for each other: goroutine N at @progress [chan send] -> goroutine N at @running [chan receive] -> goroutine N
// cause: it waits for goroutine N, leaked at @running [chan receive]
#include <memory>
#include <mutex>
#include <vector>

#include "report.hpp"

struct Watcher {
  stray::chan<void> signal = stray::make_chan<void>(), release = stray::make_chan<void>(), running = stray::make_chan<void>();
};

struct Transfer : std::enable_shared_from_this<Transfer> {
  stray::mutex mu;

  // progress: nil for one that has none to report
  Watcher watch(const stray::send_chan<int>& progress) {
    std::lock_guard lock(mu);
    Watcher w;
    stray::go([self = shared_from_this(), w, progress] {
      for (bool done = false;;) {
        {
          std::lock_guard changing(self->mu);
        }
        if (progress) progress.send(0);  // here: progress
        if (done) break;
        std::size_t chosen = stray::select(stray::on_recv(w.signal), stray::on_recv(w.release));  // here: released
        done = chosen == 1;
      }
      w.running.close();
    });
    return w;
  }
  void release(const Watcher& w) {
    { std::lock_guard lock(mu); }
    w.release.close();
    w.running.recv();  // here: running
  }
};

void test_transfer() {
  auto progress = stray::make_chan<int>();
  auto progress_done = stray::make_chan<void>();
  stray::go([progress = stray::recv_chan<int>(progress), progress_done] {
    if (progress.recv()) return;
    progress_done.close();
  });
  std::vector<std::shared_ptr<Transfer>> transfers{std::make_shared<Transfer>(), std::make_shared<Transfer>()};
  std::vector<Watcher> watchers{transfers[0]->watch(progress), transfers[1]->watch({})};
  for (std::size_t i = 0; i < 2; i++) transfers[i]->release(watchers[i]);
  progress.close();
  progress_done.recv();
}

void start() {
  stray::go(test_transfer);
  stray::testing::until_parked(3);  // the test among them, so that all others have been started
  while (stray::num_goroutine() > 4) stray::yield();
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
