// The second lock is only tried.
// expect: nothing
#include "report.hpp"

stray::mutex m;

int main() {
  stray::go([] {
    m.lock();
    m.try_lock();
  });
  report::until_finished();
  return report::print();
}
