// A send on a nil channel: nobody can ever receive.
// expect: 1 main::lambda [chan send (nil chan)] proven @send
#include "report.hpp"

int main() {
  stray::go([] {
    stray::chan<int> ch;
    ch.send(1);  // here: send
  });
  stray::testing::until_parked(1);
  return report::print();
}
