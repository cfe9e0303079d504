// A recv_chan cannot send: that the channel is reachable from a global does not help its receivers.
// expect: 1 main::lambda [chan receive] proven @receive
#include "report.hpp"

stray::recv_chan<int> events;

int main() {
  events = stray::make_chan<int>();
  stray::go([] {
    events.recv();  // here: receive
  });
  stray::testing::until_parked(1);
  return report::print();
}
