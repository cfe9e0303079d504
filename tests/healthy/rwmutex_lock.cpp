// They unlock in between.
// expect: nothing
#include <memory>

#include "report.hpp"

int main() {
  for (int i = 0; i < 1000; i++) {
    stray::go([m = std::make_unique<stray::shared_mutex>()] {
      m->lock();
      m->unlock();
      m->lock();
      m->unlock();
    });
  }
  report::until_finished();
  return report::print();
}
