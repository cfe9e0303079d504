// Workers range over a channel that is never closed; with no workers at all, the producer is the one that waits.
// expect: 3 produce::lambda [chan receive] proven @range
// expect: 1 produce [chan send] proven @send
#include "report.hpp"

void produce(int items, int workers) {
  auto ch = stray::make_chan<int>();
  for (int w = 0; w < workers; w++) {
    stray::go([ch] {
      for (int item : ch) static_cast<void>(item);  // here: range
    });
  }
  for (int i = 0; i < items; i++) ch.send(i);  // here: send
}

int main() {
  produce(9, 3);
  stray::go([] { produce(9, 0); });
  stray::testing::until_parked(4);
  return report::print();
}
