// It waits without the lock.
// expect: nothing
#include <memory>
#include <mutex>
#include <vector>

#include "report.hpp"

struct ProcessorListener {
  stray::shared_mutex lock;
  stray::condition_variable cond;
  std::vector<int> pending;

  void add(int notification) {
    std::lock_guard locked(lock);
    pending.push_back(notification);
    cond.notify_all();
  }
  void pop(const stray::recv_chan<void>& stop) {
    std::unique_lock locked(lock);
    cond.wait(locked, [this] { return !pending.empty(); });
    locked.unlock();
    stop.recv();
  }
};

void kubernetes26980(const stray::recv_chan<void>& gate) {
  auto pl = std::make_shared<ProcessorListener>();
  auto stop = stray::make_chan<void>(), result = stray::make_chan<void>();
  pl->add(1);
  stray::go([pl, stop] { pl->pop(stop); });
  gate.recv();
  stray::go([pl, result] {
    pl->lock.lock();
    result.close();
    pl->lock.unlock();
  });
  result.recv();
  stop.close();
}

void start() {
  auto gate = stray::make_chan<void>();
  stray::go(kubernetes26980, gate);
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
