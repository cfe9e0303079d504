// A monitor starts a probe and is stopped before the probe has a result: it goes, and nobody takes the result.
// expect: 1 monitor::lambda [chan send] proven @result
// go: allowed
// cause: nobody alive can receive
#include "report.hpp"

void monitor(const stray::recv_chan<bool>& stop, const stray::recv_chan<void>& gate) {
  constexpr auto interval = std::chrono::milliseconds(1), timeout = std::chrono::milliseconds(1);
  while (stray::select(stray::on_recv(stop), stray::on_recv(stray::after(interval))) == 1) {
    auto results = stray::make_chan<bool>();
    auto [ctx, cancel_probe] = stray::with_timeout(stray::background(), timeout);
    stray::go([results, gate] {
      gate.recv();
      results.send(true);  // here: result
      results.close();
    });
    std::size_t chosen = stray::select(stray::on_recv(stop), stray::on_recv(results), stray::on_recv(ctx.done()));
    cancel_probe();
    if (chosen == 0) return;
    if (chosen == 2) results.recv();
  }
}

void start() {
  stray::testing::fake_clock clock;
  auto stop = stray::make_chan<bool>();
  auto gate = stray::make_chan<void>();
  stray::go(monitor, stop, gate);
  stray::testing::until_parked(1);
  clock.advance(std::chrono::milliseconds(1));
  stray::testing::until_parked(2);
  stop.send(true);
  while (stray::num_goroutine() > 2) stray::yield();  // the monitor has gone
  gate.close();
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
