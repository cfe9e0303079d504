// A receive from a timer that was stopped and whose handle is gone: nobody can reset it.
// expect: 1 wait_for_ever::lambda [chan receive] proven @receive
#include "report.hpp"

void wait_for_ever() {
  stray::timer t(std::chrono::hours(1));
  stray::go([ch = t.channel()] {
    ch.recv();  // here: receive
  });
  t.stop();
}

int main() {
  wait_for_ever();
  stray::testing::until_parked(1);
  return report::print();
}
