// `pop` waits to be stopped, and keeps the listener locked. The test stops it after another goroutine has said that it has the lock.
// expect: 1 ProcessorListener::pop [chan receive] proven @stop
// expect: 1 kubernetes26980::lambda [sync.RWMutex.Lock] proven @lock
// expect: 1 kubernetes26980 [chan receive] proven @result
// go: allowed
// cause: goroutine N at @stop [chan receive] -> goroutine N at @result [chan receive] -> goroutine N at @lock [sync.RWMutex.Lock]
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
    stop.recv();  // here: stop
  }
};

void kubernetes26980(const stray::recv_chan<void>& gate) {
  auto pl = std::make_shared<ProcessorListener>();
  auto stop = stray::make_chan<void>(), result = stray::make_chan<void>();
  pl->add(1);
  stray::go([pl, stop] { pl->pop(stop); });
  gate.recv();
  stray::go([pl, result] {
    pl->lock.lock();  // here: lock
    result.close();
    pl->lock.unlock();
  });
  result.recv();  // here: result
  stop.close();
}

void start() {
  auto gate = stray::make_chan<void>();
  stray::go(kubernetes26980, gate);
  stray::testing::until_parked(2);
  gate.close();
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
