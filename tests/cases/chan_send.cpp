// A send on a channel that nobody else holds.
// expect: 1 send_for_ever::lambda [chan send] proven @send
#include "report.hpp"

void send_for_ever() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    ch.send(1);  // here: send
  });
}

int main() {
  send_for_ever();
  stray::testing::until_parked(1);
  return report::print();
}
