// One of a group waits for a value that nobody can send, and the group's owner waits for it.
// expect: 1 main::lambda::lambda [chan receive] proven @receive
// expect: 1 main::lambda [sync.WaitGroup.Wait] proven @wait
#include "report.hpp"

int main() {
  stray::go([] {
    stray::error_group group;
    auto ch = stray::make_chan<int>();
    group.go([rx = stray::recv_chan<int>(ch)] {
      rx.recv();  // here: receive
    });
    ch = {};
    group.wait();  // here: wait
  });
  stray::testing::until_parked(2);
  return report::print();
}
