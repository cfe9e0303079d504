// Who can cancel the first can cancel the third.
// expect: nothing
#include "report.hpp"

stray::cancel_func stop_all;

void start() {
  auto [app, stop] = stray::with_cancel(stray::background());
  stray::context server = stray::with_cancel(stray::with_value(app, "name", 1)).ctx;
  stray::context request = stray::with_cancel(server).ctx;
  stray::go([request] { request.done().recv(); });
  stop_all = stop;
}

int main() {
  start();
  stray::testing::until_parked(1);
  int status = report::print();
  stop_all();
  report::until_finished();
  return status;
}
