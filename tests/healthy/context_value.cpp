// The context with the value is reachable, below another one.
// expect: nothing
#include "report.hpp"

stray::context ctx;

void start() {
  auto ch = stray::make_chan<int>();
  stray::context with = stray::with_value(stray::background(), "answers", ch);
  stray::go([rx = stray::recv_chan<int>(ch)] { rx.recv(); });
  ctx = stray::with_cancel(with).ctx;
}

int main() {
  start();
  stray::testing::until_parked(1);
  int status = report::print();
  ctx.value<stray::chan<int>>("answers")->send(1);
  report::until_finished();
  return status;
}
