// One of a group waits for a value that nobody can send, and the group's owner waits for it.
// expect: 1 main::lambda::lambda [chan receive] proven @receive
// expect: 1 main::lambda [sync.WaitGroup.Wait] proven @wait
// expect: 1 over_limit::lambda [chan send] proven @limit
// cause: nobody alive can receive (channel made at @made)
#include "report.hpp"

// As many run as may: the next one waits for one of them.
[[gnu::noinline]] void over_limit() {
  stray::go([] {
    stray::error_group group;
    group.set_limit(0);  // here: made
    group.go([] {});     // here: limit
  });
}

int main() {
  over_limit();
  stray::go([] {
    stray::error_group group;
    auto ch = stray::make_chan<int>();
    group.go([rx = stray::recv_chan<int>(ch)] {
      rx.recv();  // here: receive
    });
    ch = {};
    group.wait();  // here: wait
  });
  stray::testing::until_parked(3);
  return report::print();
}
