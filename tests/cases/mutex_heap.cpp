// 1000 goroutines lock a mutex on the heap twice.
// expect: 1000 main::lambda [sync.Mutex.Lock] cycle @second
#include <memory>

#include "report.hpp"

int main() {
  for (int i = 0; i < 1000; i++) {
    stray::go([m = std::make_unique<stray::mutex>()] {
      m->lock();
      m->lock();  // here: second
    });
  }
  stray::testing::until_parked(1000);
  return report::print();
}
