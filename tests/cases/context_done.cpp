// The context is reachable, but a context cannot cancel, and the cancel_func is gone.
// expect: 1 main::lambda [chan receive] proven @done
#include "report.hpp"

stray::context ctx;

int main() {
  ctx = stray::with_cancel(stray::background()).ctx;
  stray::go([] {
    ctx.done().recv();  // here: done
  });
  stray::testing::until_parked(1);
  return report::print();
}
