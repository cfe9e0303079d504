// Both lock in the same order.
// expect: nothing
#include <mutex>

#include "report.hpp"

stray::mutex left, right;

void left_then_right() {
  std::lock_guard first(left);
  stray::yield();
  std::lock_guard second(right);
}
void left_then_right_too() {
  std::lock_guard first(left);
  stray::yield();
  std::lock_guard second(right);
}

int main() {
  stray::go(left_then_right);
  stray::go(left_then_right_too);
  report::until_finished();
  return report::print();
}
