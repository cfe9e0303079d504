// The only handle that could send was a value of a context, and that is gone.
// expect: 1 start::lambda [chan receive] proven @receive
#include "report.hpp"

stray::context ctx;

void start() {
  auto ch = stray::make_chan<int>();
  stray::context with = stray::with_value(stray::background(), "answers", ch);
  stray::go([rx = stray::recv_chan<int>(ch)] {
    rx.recv();  // here: receive
  });
}

int main() {
  start();
  stray::testing::until_parked(1);
  return report::print();
}
