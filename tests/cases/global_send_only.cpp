// A send_chan may close, which throws in a blocked sender: it is woken, if rudely.
// expect: nothing
#include "report.hpp"

stray::send_chan<int> events;

int main() {
  events = stray::make_chan<int>();
  stray::go([] {
    try {
      events.send(1);
    } catch (const stray::panic&) {
    }
  });
  stray::testing::until_parked(1);
  return report::print();
}
