// 1000 goroutines wait for a global mutex whose owner waits for a channel that nobody else holds.
// expect: 1 hold_for_ever::lambda [chan receive] proven @receive
// expect: 1000 main::lambda [sync.Mutex.Lock] proven @lock
// cause: the lock (m) is held by goroutine N, which is itself leaked; goroutine N is blocked at @receive [chan receive]
// cause: a root leak: 1000 others are leaked because of it
#include <mutex>

#include "report.hpp"

stray::mutex m;

void hold_for_ever() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::lock_guard lock(m);
    ch.recv();  // here: receive
  });
}

int main() {
  hold_for_ever();
  stray::testing::until_parked(1);
  for (int i = 0; i < 1000; i++) {
    stray::go([] {
      std::lock_guard lock(m);  // here: lock
    });
  }
  stray::testing::until_parked(1001);
  return report::print();
}
