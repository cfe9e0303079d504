// The monitor's channel is closed, which waits for nobody.
// expect: nothing
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
    container->stop_monitor.close();
  }
};

void handle_probe_result(Container& c) { std::lock_guard locked(c.lock); }

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
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
