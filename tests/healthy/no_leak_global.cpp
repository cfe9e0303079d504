// The events come.
// expect: nothing
#include "report.hpp"

stray::chan<int> events;

int main() {
  events = stray::make_chan<int>();
  stray::go([] { events.recv(); });
  stray::go([ch = events] { ch.recv(); });
  events.close();
  report::until_finished();
  return report::print();
}
