// A global send_chan is there too.
// expect: nothing
#include "report.hpp"

stray::recv_chan<int> events;
stray::send_chan<int> source;

int main() {
  auto ch = stray::make_chan<int>();
  events = ch;
  source = ch;
  stray::go([] { events.recv(); });
  stray::testing::until_parked(1);
  return report::print();
}
