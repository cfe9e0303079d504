// All lock in the same order.
// expect: nothing
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

stray::mutex lock_a;
stray::shared_mutex lock_b, lock_c;

void a_then_b(const stray::chan<void>& go_on) {
  go_on.recv();
  std::lock_guard first(lock_a);
  std::shared_lock second(lock_b);
}
void b_then_c(const stray::chan<void>& go_on) {
  go_on.recv();
  std::lock_guard first(lock_b);
  std::lock_guard second(lock_c);
}
void a_then_c(const stray::chan<void>& go_on) {
  go_on.recv();
  std::lock_guard first(lock_a);
  std::shared_lock second(lock_c);
}

int main() {
  auto go_on = stray::make_chan<void>();
  stray::go(a_then_b, go_on);
  stray::go(b_then_c, go_on);
  stray::go(a_then_c, go_on);
  stray::testing::until_parked(3);
  go_on.close();
  report::until_finished();
  return report::print();
}
