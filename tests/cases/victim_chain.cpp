// The first waits for a channel that the second would send on, the second for the third, who waits for ever: one root leak, two victims.
// expect: 1 first [chan receive] proven @first
// expect: 1 second [chan receive] proven @second
// expect: 1 third [chan receive] proven @third
// cause: it waits for goroutine N, leaked at @second [chan receive]; the root leak is goroutine N at @third [chan receive]
// cause: it waits for goroutine N, leaked at @third [chan receive]
// cause: a root leak: 2 others are leaked because of it
#include "report.hpp"

[[gnu::noinline]] void first(const stray::recv_chan<int>& in) {
  in.recv();  // here: first
}
[[gnu::noinline]] void second(const stray::recv_chan<int>& in, const stray::send_chan<int>& out) {
  in.recv();  // here: second
  out.send(1);
}
[[gnu::noinline]] void third(const stray::chan<int>& in, const stray::send_chan<int>& out) {
  in.recv();  // here: third
  out.send(1);
}

[[gnu::noinline]] void start() {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>(), c = stray::make_chan<int>();
  stray::go(first, a);
  stray::go(second, b, a);
  stray::go(third, c, b);
}

int main() {
  start();
  stray::testing::until_parked(3);
  return report::print();
}
