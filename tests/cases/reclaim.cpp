// Of four leaks reclaim ends three: a receiver, who holds a lock that another one waits for, and one of two that lock in opposite order. Those
// who waited go on. The fourth stands in a noexcept function and stays.
// blind: it goes on when reclaim has ended what was proven
// expect: 1 never_throws [chan receive] proven @stays
#include <mutex>

#include "report.hpp"

stray::mutex lock, left, right;
stray::wait_group both_hold;

[[gnu::noinline]] void block() { stray::make_chan<int>().recv(); }
void holds_lock() {
  std::lock_guard held(lock);
  block();
}
void waits_for_lock() { std::lock_guard held(lock); }
void lock_in_order(stray::mutex& first, stray::mutex& second) {
  std::lock_guard a(first);
  both_hold.done();
  both_hold.wait();
  std::lock_guard b(second);
}
[[gnu::noinline]] void never_throws() noexcept {
  stray::make_chan<int>().recv();  // here: stays
  std::cout << "impossible\n";
}

int main() {
  both_hold.add(2);
  stray::go(holds_lock);
  stray::testing::until_parked(1);
  stray::go(waits_for_lock);
  stray::go([] { lock_in_order(left, right); });
  stray::go([] { lock_in_order(right, left); });
  stray::go(never_throws);
  stray::testing::until_parked(5);
  while (stray::num_goroutine() > 1) stray::leak::reclaim(stray::leak::find(), {.wait = std::chrono::minutes(1)});
  std::lock_guard a(lock), b(left), c(right);  // all free
  return report::print();
}
