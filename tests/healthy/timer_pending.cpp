// It waits for one value.
// expect: nothing
#include "report.hpp"

int main() {
  stray::testing::fake_clock clock;
  stray::go([] {
    stray::recv_chan<stray::time_point> ch = stray::after(std::chrono::hours(1));
    ch.recv();
  });
  stray::testing::until_parked(1);
  report::expect_silent("the timer is pending");
  clock.advance(std::chrono::hours(1));
  report::until_finished();
  return report::print();
}
