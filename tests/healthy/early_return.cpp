// The channel has room for the result that nobody wants.
// expect: nothing
#include "report.hpp"

int handle(bool refused) {
  auto result = stray::make_chan<int>(1);
  stray::go([result] { result.send(42); });
  if (refused) return -1;
  return *result.recv();
}

int main() {
  int got = handle(true);
  report::until_finished();
  return got == -1 ? report::print() : 1;
}
