// The owner returned without unlocking.
// expect: 1 main::lambda [sync.Mutex.Lock] proven @lock
#include "report.hpp"

stray::mutex m;

int main() {
  stray::go([] { m.lock(); });
  report::until_finished();
  stray::go([] {
    m.lock();  // here: lock
  });
  stray::testing::until_parked(1);
  return report::print();
}
