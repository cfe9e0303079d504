// 1000 goroutines lock a mutex on their own stack twice.
// expect: 1000 main::lambda [sync.Mutex.Lock] cycle @second
// cause: it holds the lock (on the stack of goroutine N) itself: locked twice
#include "report.hpp"

int main() {
  for (int i = 0; i < 1000; i++) {
    stray::go([] {
      stray::mutex m;
      m.lock();
      m.lock();  // here: second
    });
  }
  stray::testing::until_parked(1000);
  return report::print();
}
