// It is closed, and the sender has caught that.
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
  events.close();
  report::until_finished();
  return report::print();
}
