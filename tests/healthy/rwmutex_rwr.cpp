// The reader does not ask again.
// expect: nothing
#include "report.hpp"

stray::shared_mutex m;

void reader(const stray::chan<void>& announced) {
  m.lock_shared();
  announced.recv();
  m.unlock_shared();
}
void writer() {
  m.lock();
  m.unlock();
}

int main() {
  auto announced = stray::make_chan<void>();
  stray::go(reader, announced);
  stray::testing::until_parked(1);
  stray::go(writer);
  stray::testing::until_parked(2);
  report::expect_silent("the reader waits for main");
  announced.send();
  report::until_finished();
  return report::print();
}
