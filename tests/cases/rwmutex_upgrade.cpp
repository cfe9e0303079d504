// Two readers of a global want to write: the first waits for itself and the other, the other for the first.
// expect: 1 first [sync.RWMutex.Lock] cycle @upgrade
// expect: 1 second [sync.RWMutex.Lock] cycle @behind
// cause: it holds the lock (m) itself for reading
// no cause: (m+8)
#include "report.hpp"

stray::shared_mutex m;

void first(const stray::chan<void>& both_hold) {
  m.lock_shared();
  both_hold.recv();
  m.lock();  // here: upgrade
}
void second(const stray::chan<void>& both_hold) {
  m.lock_shared();
  both_hold.send();
  stray::testing::until_parked(1);
  m.lock();  // here: behind
}

int main() {
  auto both_hold = stray::make_chan<void>();
  stray::go(first, both_hold);
  stray::testing::until_parked(1);
  stray::go(second, both_hold);
  stray::testing::until_parked(2);
  return report::print();
}
