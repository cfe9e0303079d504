// A monitor that is stopped takes the result, too.
// expect: nothing
#include "report.hpp"

void monitor(const stray::recv_chan<bool>& stop, const stray::recv_chan<void>& gate) {
  constexpr auto interval = std::chrono::milliseconds(1), timeout = std::chrono::milliseconds(1);
  while (stray::select(stray::on_recv(stop), stray::on_recv(stray::after(interval))) == 1) {
    auto results = stray::make_chan<bool>();
    auto [ctx, cancel_probe] = stray::with_timeout(stray::background(), timeout);
    stray::go([results, gate] {
      gate.recv();
      results.send(true);
      results.close();
    });
    std::size_t chosen = stray::select(stray::on_recv(stop), stray::on_recv(results), stray::on_recv(ctx.done()));
    cancel_probe();
    if (chosen != 1) results.recv();
    if (chosen == 0) return;
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
  gate.close();
  while (stray::num_goroutine() > 1) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
