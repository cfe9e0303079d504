// Nobody has the timer, but it is pending: its function will send.
// expect: nothing
#include "report.hpp"

void wait_for_func() {
  auto ch = stray::make_chan<int>();
  stray::timer t = stray::after_func(std::chrono::hours(1), [ch] { ch.send(1); });
  stray::go([rx = stray::recv_chan<int>(ch)] { rx.recv(); });
}

int main() {
  wait_for_func();
  stray::testing::until_parked(1);
  return report::print();
}
