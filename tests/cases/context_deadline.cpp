// No deadline, and nobody who could cancel.
// expect: 1 wait_for_end::lambda [select] proven @select
#include "report.hpp"

void wait_for_end() {
  stray::context ctx = stray::with_cancel(stray::background()).ctx;
  auto result = stray::make_chan<int>();
  stray::go([ctx, rx = stray::recv_chan<int>(result)] {
    stray::select(stray::on_recv(rx), stray::on_recv(ctx.done()));  // here: select
  });
}

int main() {
  wait_for_end();
  stray::testing::until_parked(1);
  return report::print();
}
