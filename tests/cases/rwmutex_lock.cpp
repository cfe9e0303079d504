// 1000 goroutines lock twice for writing, each its own.
// expect: 1000 main::lambda [sync.RWMutex.Lock] cycle @second
#include <memory>

#include "report.hpp"

int main() {
  for (int i = 0; i < 1000; i++) {
    stray::go([m = std::make_unique<stray::shared_mutex>()] {
      m->lock();
      m->lock();  // here: second
    });
  }
  stray::testing::until_parked(1000);
  return report::print();
}
