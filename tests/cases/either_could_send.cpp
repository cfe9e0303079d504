// Two hold a handle to send to the first, each is blocked for a reason of its own, and neither waits for the other: both are named.
// expect: 1 wait_for_one [chan receive] proven @first
// expect: 1 start::lambda [sync.WaitGroup.Wait] proven @group
// expect: 1 start::lambda [chan receive] proven @other
// cause: it waits for any of goroutine N at @group [sync.WaitGroup.Wait] or goroutine N (late) at @other [chan receive], leaked too
#include "report.hpp"

[[gnu::noinline]] void wait_for_one(const stray::recv_chan<int>& in) {
  in.recv();  // here: first
}

[[gnu::noinline]] void start() {
  auto in = stray::make_chan<int>();
  stray::go(wait_for_one, in);
  stray::go([out = stray::send_chan<int>(in)] {
    stray::wait_group group;
    group.add(1);
    group.wait();  // here: group
    out.send(1);
  });
  stray::go({.name = "late"}, [out = stray::send_chan<int>(in)] {
    stray::make_chan<int>().recv();  // here: other
    out.send(2);
  });
}

int main() {
  start();
  stray::testing::until_parked(3);
  return report::print();
}
