// The mutex is unlocked in between.
// expect: nothing
#include "report.hpp"

int main() {
  for (int i = 0; i < 1000; i++) {
    stray::go([] {
      stray::mutex m;
      m.lock();
      m.unlock();
      m.lock();
    });
  }
  report::until_finished();
  return report::print();
}
