// What waits with blocks of its own goes on, and they are freed.
// expect: nothing
#include <vector>

#include "report.hpp"

int main() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::vector<char> mine(3'000'000);
    ch.recv();
  });
  stray::testing::until_parked(1);
  report::print();
  ch.send(1);
  report::until_finished();
  return 0;
}
