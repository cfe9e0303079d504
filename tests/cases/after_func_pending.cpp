// The function of a timer holds the only sending handle; the timer is stopped and dropped, and the function with it.
// expect: 1 wait_for_func::lambda [chan receive] proven @receive
#include "report.hpp"

void wait_for_func() {
  auto ch = stray::make_chan<int>();
  stray::timer t = stray::after_func(std::chrono::hours(1), [ch] { ch.send(1); });
  stray::go([rx = stray::recv_chan<int>(ch)] {
    rx.recv();  // here: receive
  });
  t.stop();
}

int main() {
  wait_for_func();
  stray::testing::until_parked(1);
  return report::print();
}
