// The channel is closed at the end of the function that made it.
// expect: nothing
#include "report.hpp"

void receive_until_closed() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] { ch.recv(); });
  ch.close();
}

int main() {
  receive_until_closed();
  report::until_finished();
  return report::print();
}
