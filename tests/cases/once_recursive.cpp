// A function that runs once calls it again; somebody else waits for it.
// expect: 1 initialise [sync.Once.Do] cycle @inside
// expect: 1 main::lambda [sync.Once.Do] proven @outside
#include "report.hpp"

stray::once initialised;

void initialise() {
  initialised.call([] {});  // here: inside
}

int main() {
  stray::go([] { initialised.call(initialise); });
  stray::testing::until_parked(1);
  stray::go([] {
    initialised.call([] {});  // here: outside
  });
  stray::testing::until_parked(2);
  return report::print();
}
