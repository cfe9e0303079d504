// Reader, writer, reader: one reads, a writer announces itself, and the reader wants to read once more. The lock is global.
// expect: 1 reader [sync.RWMutex.RLock] cycle @again
// expect: 1 writer [sync.RWMutex.Lock] cycle @write
#include "report.hpp"

stray::shared_mutex m;

void reader(const stray::chan<void>& announced) {
  m.lock_shared();
  announced.recv();
  m.lock_shared();  // here: again
}
void writer() {
  m.lock();  // here: write
}

int main() {
  auto announced = stray::make_chan<void>();
  stray::go(reader, announced);
  stray::testing::until_parked(1);
  stray::go(writer);
  stray::testing::until_parked(2);
  announced.send();
  announced = {};
  stray::testing::until_parked(2);
  return report::print();
}
