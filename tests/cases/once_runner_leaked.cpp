// The function waits for ever, so all others do.
// expect: 1 main::lambda::lambda [chan receive] proven @receive
// expect: 10 main::lambda [sync.Once.Do] proven @call
#include "report.hpp"

stray::once initialised;

int main() {
  stray::go([] {
    initialised.call([] {
      auto ch = stray::make_chan<int>();
      ch.recv();  // here: receive
    });
  });
  stray::testing::until_parked(1);
  for (int i = 0; i < 10; i++) {
    stray::go([] {
      initialised.call([] {});  // here: call
    });
  }
  stray::testing::until_parked(11);
  return report::print();
}
