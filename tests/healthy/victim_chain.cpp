// The end of the chain is fed.
// expect: nothing
#include "report.hpp"

void pass_on(const stray::recv_chan<int>& in, const stray::send_chan<int>& out) {
  in.recv();
  out.send(1);
}

int main() {
  auto a = stray::make_chan<int>(1), b = stray::make_chan<int>(), c = stray::make_chan<int>();
  stray::go(pass_on, b, a);
  stray::go(pass_on, c, b);
  stray::testing::until_parked(2);
  report::print();
  c.send(1);
  report::until_finished();
  return 0;
}
