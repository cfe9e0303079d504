// A wait on a condition variable that nobody will notify.
// expect: 1 main::lambda [sync.Cond.Wait] proven @wait
#include <mutex>

#include "report.hpp"

int main() {
  stray::go([] {
    stray::mutex m;
    stray::condition_variable changed;
    bool ready = false;
    std::unique_lock lock(m);
    while (!ready) changed.wait(lock);  // here: wait
  });
  stray::testing::until_parked(1);
  return report::print();
}
