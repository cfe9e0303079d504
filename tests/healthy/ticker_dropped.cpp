// The goroutine holds the ticker.
// expect: nothing
#include "report.hpp"

void tick_for_ever() {
  stray::ticker every(std::chrono::hours(1));
  stray::go([every] {
    while (true) every.channel().recv();
  });
}

int main() {
  tick_for_ever();
  stray::testing::until_parked(1);
  return report::print();
}
