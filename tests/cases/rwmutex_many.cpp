// A goroutine reads 100 locks at the same time and waits for ever; 100 writers wait for it, and 1000 readers for these.
// expect: 1 read_all::lambda [chan receive] proven @receive
// expect: 100 main::lambda [sync.RWMutex.Lock] proven @write
// expect: 1000 main::lambda [sync.RWMutex.RLock] proven @read
#include <array>

#include "report.hpp"

std::array<stray::shared_mutex, 100> all;

void read_all() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    for (auto& m : all) m.lock_shared();
    ch.recv();  // here: receive
  });
}

int main() {
  read_all();
  stray::testing::until_parked(1);
  for (auto& m : all) {
    stray::go([&m] {
      m.lock();  // here: write
    });
  }
  stray::testing::until_parked(101);
  for (unsigned i = 0; i < 1000; i++) {
    stray::go([&m = all[i % 100]] {
      m.lock_shared();  // here: read
    });
  }
  stray::testing::until_parked(1101);
  return report::print();
}
