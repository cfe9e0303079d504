// The second lock is only tried, and the first one is unlocked.
// expect: nothing
#include "report.hpp"

stray::shared_mutex m;

int main() {
  stray::go([] {
    m.lock();
    m.try_lock();
    stray::yield();
    m.unlock();
  });
  stray::go([] {
    m.lock();
    m.unlock();
  });
  stray::go([] {
    m.lock_shared();
    m.unlock_shared();
  });
  report::until_finished();
  return report::print();
}
