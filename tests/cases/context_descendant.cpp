// Somebody can cancel a child and its sibling; that does not cancel the parent.
// expect: 1 start::lambda [chan receive] proven @done
#include "report.hpp"

stray::cancel_func kept;
stray::context child;

void start() {
  auto [parent, cancel_parent] = stray::with_cancel(stray::background());
  auto [one, cancel_one] = stray::with_cancel(parent);
  auto [two, cancel_two] = stray::with_cancel(parent);
  stray::go([parent = parent, cancel_two = cancel_two] {
    parent.done().recv();  // here: done
  });
  kept = cancel_one;
  child = one;
}

int main() {
  start();
  stray::testing::until_parked(1);
  return report::print();
}
