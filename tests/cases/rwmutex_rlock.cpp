// A goroutine locks for writing, then for reading.
// expect: 1 main::lambda [sync.RWMutex.RLock] cycle @second
#include "report.hpp"

int main() {
  stray::go([] {
    stray::shared_mutex m;
    m.lock();
    m.lock_shared();  // here: second
  });
  stray::testing::until_parked(1);
  return report::print();
}
