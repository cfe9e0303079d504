// The value is received.
// expect: nothing
#include "report.hpp"

void send_once() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] { ch.send(1); });
  ch.recv();
}

int main() {
  send_once();
  report::until_finished();
  return report::print();
}
