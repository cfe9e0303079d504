// A receive on a channel that nobody else holds.
// expect: 1 receive_for_ever::lambda [chan receive] proven @receive
#include "report.hpp"

void receive_for_ever() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    ch.recv();  // here: receive
  });
}

int main() {
  receive_for_ever();
  stray::testing::until_parked(1);
  return report::print();
}
