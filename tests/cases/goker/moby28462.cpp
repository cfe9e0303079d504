// A monitor looks whether it shall stop, then locks the container. Who changes the state has locked the container meanwhile, and waits
// until the monitor looks again.
// expect: 1 handle_probe_result [sync.Mutex.Lock] proven @lock
// expect: 1 Daemon::state_changed [chan send] proven @stop
// go: allowed
// cause: they wait for each other: goroutine N at @lock [sync.Mutex.Lock] -> goroutine N at @stop [chan send] -> goroutine N
#include <memory>
#include <mutex>

#include "report.hpp"

struct Container {
  stray::mutex lock;
  stray::chan<void> stop_monitor = stray::make_chan<void>();
};

struct Daemon {
  std::shared_ptr<Container> container = std::make_shared<Container>();

  void state_changed() {
    std::lock_guard locked(container->lock);
    container->stop_monitor.send();  // here: stop
  }
};

void handle_probe_result(Container& c) {
  std::lock_guard locked(c.lock);  // here: lock
}

void monitor(Container& c, const stray::recv_chan<void>& gate) {
  while (stray::select(stray::on_recv(c.stop_monitor), stray::on_default()) != 0) {
    gate.recv();
    handle_probe_result(c);
  }
}

void start() {
  auto gate = stray::make_chan<void>();
  auto d = std::make_shared<Daemon>();
  stray::go([c = d->container, gate = stray::recv_chan<void>(gate)] { monitor(*c, gate); });
  stray::testing::until_parked(1);
  stray::go([d] { d->state_changed(); });
  stray::testing::until_parked(2);
  gate.close();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
