// A writer waits for two readers. One waits for main, the other for a channel that nobody else holds: one is enough. A newcomer waits for
// the writer.
// expect: 1 read_for_ever::lambda [chan receive] proven @receive
// expect: 1 main::lambda [sync.RWMutex.Lock] proven @write
// expect: 1 main::lambda [sync.RWMutex.RLock] proven @read
#include <shared_mutex>

#include "report.hpp"

stray::shared_mutex m;

void read_for_ever() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::shared_lock lock(m);
    ch.recv();  // here: receive
  });
}

int main() {
  auto tell = stray::make_chan<int>();
  stray::go([tell] {
    std::shared_lock lock(m);
    tell.recv();
  });
  read_for_ever();
  stray::testing::until_parked(2);
  stray::go([] {
    m.lock();  // here: write
  });
  stray::testing::until_parked(3);
  stray::go([] {
    m.lock_shared();  // here: read
  });
  stray::testing::until_parked(4);
  int status = report::print();
  tell.close();
  return status;
}
