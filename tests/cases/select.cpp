// A select over channels that nobody else holds.
// expect: 1 wait_for_either::lambda [select] proven @select
// cause: nothing alive holds a handle that could wake it (channels made at @in and @out)
#include "report.hpp"

void wait_for_either() {
  auto in = stray::make_chan<int>();   // here: in
  auto out = stray::make_chan<int>();  // here: out
  stray::go([in, out] {
    stray::select(stray::on_recv(in), stray::on_send(out, 1));  // here: select
  });
}

int main() {
  wait_for_either();
  stray::testing::until_parked(1);
  return report::print();
}
