// A select over channels that nobody else holds.
// expect: 1 wait_for_either::lambda [select] proven @select
#include "report.hpp"

void wait_for_either() {
  auto in = stray::make_chan<int>(), out = stray::make_chan<int>();
  stray::go([in, out] {
    stray::select(stray::on_recv(in), stray::on_send(out, 1));  // here: select
  });
}

int main() {
  wait_for_either();
  stray::testing::until_parked(1);
  return report::print();
}
