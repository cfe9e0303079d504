// A job waits for its own group to be done.
// expect: 1 start::lambda [sync.WaitGroup.Wait] proven @wait
// cause: nothing alive refers to what it waits on (in heap memory); its counter is 1, and it may be counted there itself: it was started by a wait_group's go
#include <memory>

#include "report.hpp"

[[gnu::noinline]] void start() {
  auto jobs = std::make_shared<stray::wait_group>();
  jobs->go([jobs] {
    jobs->wait();  // here: wait
  });
}

int main() {
  start();
  stray::testing::until_parked(1);
  return report::print();
}
