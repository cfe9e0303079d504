// The cancel_func is still there.
// expect: nothing
#include "report.hpp"

stray::context ctx;
stray::cancel_func cancel;

int main() {
  auto made = stray::with_cancel(stray::background());
  ctx = made.ctx;
  cancel = made.cancel;
  stray::go([] { ctx.done().recv(); });
  stray::testing::until_parked(1);
  int status = report::print();
  cancel();
  report::until_finished();
  return status;
}
