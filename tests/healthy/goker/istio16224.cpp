// The handler sends without the lock, and a monitor that is stopped waits for nothing.
// expect: nothing
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
    events.close();
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
    { std::lock_guard locked(*lock); }
    done.send(true);
  });
  auto stop = stray::make_chan<void>();
  stray::go([controller, stop] { controller->run(stop); });
  controller->create();
  before_lock.recv();
  lock->lock();
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
  while (stray::num_goroutine() > 1) stray::yield();
  gate = stray::make_chan<void>();
  stray::go(istio16224, open, gate);
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
