// The stopped timer is still there: somebody may reset it.
// expect: nothing
#include "report.hpp"

stray::timer kept;

void wait_for_reset() {
  stray::timer t(std::chrono::hours(1));
  stray::go([ch = t.channel()] { ch.recv(); });
  t.stop();
  kept = t;
}

int main() {
  wait_for_reset();
  stray::testing::until_parked(1);
  int status = report::print();
  kept.reset(std::chrono::milliseconds(0));
  report::until_finished();
  return status;
}
