// Two are expected, one comes.
// expect: 1 main::lambda [sync.Latch.Wait] proven @wait
// cause: nothing alive refers to what it waits on (on the stack of goroutine N); its counter is 1
#include "report.hpp"

int main() {
  stray::go([] {
    stray::latch both(2);
    both.arrive_and_wait();  // here: wait
  });
  stray::testing::until_parked(1);
  return report::print();
}
