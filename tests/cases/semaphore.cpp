// A permit that nobody will release.
// expect: 1 main::lambda [sync.Semaphore.Acquire] proven @acquire
// cause: nothing alive refers to what it waits on (on the stack of goroutine N); no permit is left
#include "report.hpp"

int main() {
  stray::go([] {
    stray::semaphore permits(1);
    permits.acquire();
    permits.acquire();  // here: acquire
  });
  stray::testing::until_parked(1);
  return report::print();
}
