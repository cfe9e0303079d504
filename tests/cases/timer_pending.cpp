// A goroutine waits for the second value of a timer that fires once.
// blind: it goes on when it has found its leak
// expect: 1 main::lambda [chan receive] proven @second
#include "report.hpp"

int main() {
  stray::testing::fake_clock clock;
  stray::go([] {
    stray::recv_chan<stray::time_point> ch = stray::after(std::chrono::hours(1));
    ch.recv();
    ch.recv();  // here: second
  });
  stray::testing::until_parked(1);
  report::expect_silent("the timer is pending");
  clock.advance(std::chrono::hours(1));
  while (stray::leak::find().total() == 0) stray::yield();  // it receives, and waits again
  return report::print();
}
