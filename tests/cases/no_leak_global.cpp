// A global handle may send and receive, so whoever waits on its channel may be woken some day.
// expect: nothing
#include "report.hpp"

stray::chan<int> events;

int main() {
  events = stray::make_chan<int>();
  stray::go([] { events.recv(); });
  stray::go([ch = events] { ch.recv(); });
  stray::testing::until_parked(2);
  return report::print();
}
