// The channel is closed, and there is a worker.
// expect: nothing
#include "report.hpp"

void produce(int items, int workers) {
  auto ch = stray::make_chan<int>();
  for (int w = 0; w < workers; w++) {
    stray::go([ch] {
      for (int item : ch) static_cast<void>(item);
    });
  }
  for (int i = 0; i < items; i++) ch.send(i);
  ch.close();
}

int main() {
  produce(9, 3);
  stray::go([] { produce(9, 1); });
  report::until_finished();
  return report::print();
}
