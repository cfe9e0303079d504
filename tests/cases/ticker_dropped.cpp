// The last handle of a ticker is gone, which stops it; its channel stays open.
// expect: 1 tick_for_ever::lambda [chan receive] proven @tick
#include "report.hpp"

void tick_for_ever() {
  stray::ticker every(std::chrono::hours(1));
  stray::go([ticks = every.channel()] {
    while (true) ticks.recv();  // here: tick
  });
}

int main() {
  tick_for_ever();
  stray::testing::until_parked(1);
  return report::print();
}
