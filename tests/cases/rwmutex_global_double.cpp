// A global is locked twice by one goroutine: everybody can reach it, nobody can unlock it. Others wait behind.
// expect: 1 main::lambda [sync.RWMutex.Lock] cycle @second
// expect: 1 main::lambda [sync.RWMutex.Lock] proven @writer
// expect: 1 main::lambda [sync.RWMutex.RLock] proven @reader
#include "report.hpp"

stray::shared_mutex m;

int main() {
  stray::go([] {
    m.lock();
    m.lock();  // here: second
  });
  stray::testing::until_parked(1);
  stray::go([] {
    m.lock();  // here: writer
  });
  stray::go([] {
    m.lock_shared();  // here: reader
  });
  stray::testing::until_parked(3);
  return report::print();
}
