// Each waits for what only the other one could send.
// expect: 1 left [chan receive] proven @left
// expect: 1 right [chan receive] proven @right
// cause: they wait for each other: goroutine N at @left [chan receive] -> goroutine N at @right [chan receive] -> goroutine N
// cause: they wait for each other: goroutine N at @right [chan receive] -> goroutine N at @left [chan receive] -> goroutine N
#include "report.hpp"

[[gnu::noinline]] void left(const stray::recv_chan<int>& in, const stray::send_chan<int>& out) {
  in.recv();  // here: left
  out.send(1);
}
[[gnu::noinline]] void right(const stray::recv_chan<int>& in, const stray::send_chan<int>& out) {
  in.recv();  // here: right
  out.send(1);
}

[[gnu::noinline]] void start() {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
  stray::go(left, a, b);
  stray::go(right, b, a);
}

int main() {
  start();
  stray::testing::until_parked(2);
  return report::print();
}
