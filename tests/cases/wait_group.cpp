// A wait_group that nobody else can reach is waited on before it is done.
// expect: 1 main::lambda [sync.WaitGroup.Wait] proven @wait
// cause: nothing alive refers to what it waits on (on the stack of goroutine N); its counter is 1
#include "report.hpp"

int main() {
  stray::go([] {
    stray::wait_group group;
    group.add(1);
    group.wait();  // here: wait
  });
  stray::testing::until_parked(1);
  return report::print();
}
