// A handler sends `done` while it holds the lock that the test locks before it receives `done`. When the test is faster, all goes well
// until it says stop: then the monitor waits for one more event, and nobody is left to send one. The test runs twice, once for each.
// expect: 1 istio16224 [sync.Mutex.Lock] proven @lock
// expect: 1 istio16224::lambda [chan send] proven @done
// expect: 1 ConfigstoreMonitor::run [chan receive] proven @event
// go: allowed
// cause: they wait for each other: goroutine N at @done [chan send] -> goroutine N at @lock [sync.Mutex.Lock] -> goroutine N
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "report.hpp"

struct ConfigstoreMonitor {
  std::vector<std::function<void(int)>> handlers;
  stray::chan<int> events = stray::make_chan<int>();

  void run(const stray::recv_chan<void>& stop) {
    for (bool stopped = false; !stopped;) {
      stray::select(stray::on_recv(stop, [&] { stopped = true; }), stray::on_recv(events, [&](std::optional<int> event) {
                      for (const auto& handler : handlers) handler(*event);
                    }));
    }
    if (events.recv()) events.close();  // here: event
  }
};

struct Controller {
  ConfigstoreMonitor monitor;
  void run(const stray::recv_chan<void>& stop) { monitor.run(stop); }
  void create() { monitor.events.send(0); }
};

void istio16224(const stray::recv_chan<void>& before_lock, const stray::recv_chan<void>& in_handler) {
  auto controller = std::make_shared<Controller>();
  auto lock = std::make_shared<stray::mutex>();
  auto done = stray::make_chan<bool>();
  controller->monitor.handlers.push_back([lock, done, in_handler](int) {
    in_handler.recv();
    std::lock_guard locked(*lock);
    done.send(true);  // here: done
  });
  auto stop = stray::make_chan<void>();
  stray::go([controller, stop] { controller->run(stop); });
  controller->create();
  before_lock.recv();
  lock->lock();  // here: lock
  lock->unlock();
  done.recv();
  stop.close();
}

void start() {
  auto gate = stray::make_chan<void>(), open = stray::make_chan<void>();
  open.close();
  stray::go(istio16224, gate, open);
  stray::testing::until_parked(2);
  gate.close();
  stray::testing::until_parked(2);
  gate = stray::make_chan<void>();
  stray::go(istio16224, open, gate);
  stray::testing::until_parked(4);
  gate.close();
  while (stray::num_goroutine() > 4) stray::yield();  // the second test has ended
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
