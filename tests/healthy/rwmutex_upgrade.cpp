// They stop reading first.
// expect: nothing
#include "report.hpp"

stray::shared_mutex m;

void first(const stray::chan<void>& both_hold) {
  m.lock_shared();
  both_hold.recv();
  m.unlock_shared();
  m.lock();
  m.unlock();
}
void second(const stray::chan<void>& both_hold) {
  m.lock_shared();
  both_hold.send();
  m.unlock_shared();
  m.lock();
  m.unlock();
}

int main() {
  auto both_hold = stray::make_chan<void>();
  stray::go(first, both_hold);
  stray::testing::until_parked(1);
  stray::go(second, both_hold);
  report::until_finished();
  return report::print();
}
