// One returned while it read, and a writer waits; of another lock the writer returned, and a reader waits.
// expect: 1 main::lambda [sync.RWMutex.Lock] proven @write
// expect: 1 main::lambda [sync.RWMutex.RLock] proven @read
#include "report.hpp"

stray::shared_mutex read_once, written_once;

int main() {
  stray::go([] {
    read_once.lock_shared();
    written_once.lock();
  });
  report::until_finished();
  stray::go([] {
    read_once.lock();  // here: write
  });
  stray::go([] {
    written_once.lock_shared();  // here: read
  });
  stray::testing::until_parked(2);
  return report::print();
}
