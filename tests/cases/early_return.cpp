// The parent returns before it receives.
// expect: 1 handle::lambda [chan send] proven @send
#include "report.hpp"

int handle(bool refused) {
  auto result = stray::make_chan<int>();
  stray::go([result] {
    result.send(42);  // here: send
  });
  if (refused) return -1;
  return *result.recv();
}

int main() {
  int got = handle(true);
  stray::testing::until_parked(1);
  return got == -1 ? report::print() : 1;
}
