// A receive on a nil channel: nobody can ever send.
// expect: 1 main::lambda [chan receive (nil chan)] proven @receive
#include "report.hpp"

int main() {
  stray::go([] {
    stray::chan<int> ch;
    ch.recv();  // here: receive
  });
  stray::testing::until_parked(1);
  return report::print();
}
