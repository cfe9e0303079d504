// There is room for all, and somebody sends.
// expect: nothing
#include "report.hpp"

int first_of(int n) {
  auto ch = stray::make_chan<int>(n);
  for (int i = 0; i < n; i++) {
    stray::go([ch, i] { ch.send(i); });
  }
  std::optional<int> first = ch.recv();
  return first.value_or(-1);
}

int main() {
  first_of(5);
  stray::go([] { first_of(1); });
  report::until_finished();
  return report::print();
}
