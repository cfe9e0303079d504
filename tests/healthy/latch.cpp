// Both come.
// expect: nothing
#include "report.hpp"

int main() {
  stray::go([] {
    stray::latch both(2);
    stray::go([&both] { both.count_down(); });
    both.arrive_and_wait();
  });
  report::until_finished();
  return report::print();
}
