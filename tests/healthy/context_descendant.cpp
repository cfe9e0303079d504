// The parent can be cancelled.
// expect: nothing
#include "report.hpp"

stray::cancel_func kept;
stray::context child;

void start() {
  auto [parent, cancel_parent] = stray::with_cancel(stray::background());
  auto [one, cancel_one] = stray::with_cancel(parent);
  auto [two, cancel_two] = stray::with_cancel(parent);
  stray::go([parent = parent, cancel_two = cancel_two] { parent.done().recv(); });
  kept = cancel_parent;
  child = one;
}

int main() {
  start();
  stray::testing::until_parked(1);
  int status = report::print();
  kept();
  report::until_finished();
  return status;
}
