// It unlocks in between.
// expect: nothing
#include "report.hpp"

int main() {
  stray::go([] {
    stray::shared_mutex m;
    m.lock();
    m.unlock();
    m.lock_shared();
    m.unlock_shared();
  });
  report::until_finished();
  return report::print();
}
