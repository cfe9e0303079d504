// The deadline is pending.
// expect: nothing
#include "report.hpp"

void wait_for_end() {
  stray::context ctx = stray::with_timeout(stray::background(), std::chrono::hours(1)).ctx;
  auto result = stray::make_chan<int>();
  stray::go([ctx, rx = stray::recv_chan<int>(result)] { stray::select(stray::on_recv(rx), stray::on_recv(ctx.done())); });
}

int main() {
  stray::testing::fake_clock clock;
  wait_for_end();
  stray::testing::until_parked(1);
  int status = report::print();
  clock.advance(std::chrono::hours(1));
  report::until_finished();
  return status;
}
