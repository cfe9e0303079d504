// Three generations; who could have cancelled the first is gone, and so nobody cancels the third.
// expect: 1 start::lambda [chan receive] proven @done
#include "report.hpp"

stray::cancel_func stop_all;

void start() {
  auto [app, stop] = stray::with_cancel(stray::background());
  stray::context server = stray::with_cancel(stray::with_value(app, "name", 1)).ctx;
  stray::context request = stray::with_cancel(server).ctx;
  stray::go([request] {
    request.done().recv();  // here: done
  });
}

int main() {
  start();
  stray::testing::until_parked(1);
  return report::print();
}
