// Two goroutines lock two global mutexes in opposite order; the channel makes sure that each has its first.
// expect: 1 left_then_right [sync.Mutex.Lock] cycle @right
// expect: 1 right_then_left [sync.Mutex.Lock] cycle @left
// cause: they wait for each other: goroutine N at @right [sync.Mutex.Lock] -> goroutine N at @left [sync.Mutex.Lock] -> goroutine N
#include <mutex>

#include "report.hpp"

stray::mutex left, right;

void left_then_right(const stray::chan<void>& both_hold) {
  std::lock_guard first(left);
  both_hold.send();
  std::lock_guard second(right);  // here: right
}
void right_then_left(const stray::chan<void>& both_hold) {
  std::lock_guard first(right);
  both_hold.recv();
  std::lock_guard second(left);  // here: left
}

int main() {
  auto both_hold = stray::make_chan<void>();
  stray::go(left_then_right, both_hold);
  stray::go(right_then_left, both_hold);
  stray::testing::until_parked(2);
  return report::print();
}
