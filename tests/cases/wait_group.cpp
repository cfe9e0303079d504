// A wait_group that nobody else can reach is waited on before it is done.
// expect: 1 main::lambda [sync.WaitGroup.Wait] proven @wait
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
