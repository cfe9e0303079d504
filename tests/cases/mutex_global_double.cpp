// A global mutex is locked twice by one goroutine: everybody can reach it, nobody can unlock it.
// expect: 1 main::lambda [sync.Mutex.Lock] cycle @second
#include "report.hpp"

stray::mutex m;

int main() {
  stray::go([] {
    m.lock();
    m.lock();  // here: second
  });
  stray::testing::until_parked(1);
  return report::print();
}
