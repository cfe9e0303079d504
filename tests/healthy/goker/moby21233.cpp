// Who reads the progress goes on until its channel is closed.
// expect: nothing
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
        if (progress) progress.send(0);
        if (done) break;
        std::size_t chosen = stray::select(stray::on_recv(w.signal), stray::on_recv(w.release));
        done = chosen == 1;
      }
      w.running.close();
    });
    return w;
  }
  void release(const Watcher& w) {
    { std::lock_guard lock(mu); }
    w.release.close();
    w.running.recv();
  }
};

void test_transfer() {
  auto progress = stray::make_chan<int>();
  auto progress_done = stray::make_chan<void>();
  stray::go([progress = stray::recv_chan<int>(progress), progress_done] {
    while (progress.recv()) {
    }
    progress_done.close();
  });
  std::vector<std::shared_ptr<Transfer>> transfers{std::make_shared<Transfer>(), std::make_shared<Transfer>()};
  std::vector<Watcher> watchers{transfers[0]->watch(progress), transfers[1]->watch({})};
  for (std::size_t i = 0; i < 2; i++) transfers[i]->release(watchers[i]);
  progress.close();
  progress_done.recv();
}

void start() { stray::go(test_transfer); }

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
