// The ring is started from outside.
// expect: nothing
#include "report.hpp"

void pass_on(const stray::recv_chan<int>& in, const stray::send_chan<int>& out) {
  in.recv();
  out.send(1);
}

int main() {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>(1);
  stray::go(pass_on, a, b);
  stray::testing::until_parked(1);
  report::print();
  a.send(1);
  report::until_finished();
  return 0;
}
