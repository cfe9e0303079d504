// n goroutines send, one value is taken; with none that send, the one that takes waits.
// expect: 4 first_of::lambda [chan send] proven @send
// expect: 1 first_of [chan receive] proven @receive
#include "report.hpp"

int first_of(int n) {
  auto ch = stray::make_chan<int>();
  for (int i = 0; i < n; i++) {
    stray::go([ch, i] {
      ch.send(i);  // here: send
    });
  }
  std::optional<int> first = ch.recv();  // here: receive
  return first.value_or(-1);
}

int main() {
  first_of(5);
  stray::go([] { first_of(0); });
  stray::testing::until_parked(5);
  return report::print();
}
