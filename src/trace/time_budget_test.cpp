// Only the thread's own time counts, and not without end.
#include "trace/time_budget.h"

#include <ctime>
#include <gtest/gtest.h>

namespace stray::trace {
namespace {

constexpr std::int64_t ms = 1'000'000;

std::int64_t own_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}
void work(std::int64_t ns) {
  for (std::int64_t end = own_time() + ns; own_time() < end;) {
  }
}
void rest(std::int64_t ns) {
  timespec t = base::to_timespec(ns);
  nanosleep(&t, nullptr);
}

TEST(time_budget, is_spent_by_work) {
  std::int64_t began = own_time(), wall = base::now_ns();  // first: there may be a pause between any two lines
  time_budget b(5 * ms);
  while (!b.spent()) {
  }
  wall = base::now_ns() - wall;
  EXPECT_TRUE(own_time() - began >= 4 * ms || wall >= 24 * ms);  // the second on a machine with other work
  EXPECT_TRUE(b.spent());
}
TEST(time_budget, is_not_spent_by_the_time_of_others) {
  time_budget b(1000 * ms);
  rest(1100 * ms);
  EXPECT_FALSE(b.spent());
}
TEST(time_budget, ends_by_the_wall_clock_too) {
  time_budget b(2 * ms);
  rest(11 * ms);
  EXPECT_TRUE(b.spent());
}
TEST(time_budget, does_not_count_while_it_is_stopped) {
  time_budget b(200 * ms);
  b.stop();
  work(250 * ms);
  b.go_on();
  EXPECT_FALSE(b.spent());
  work(250 * ms);
  EXPECT_TRUE(b.spent());
}

}  // namespace
}  // namespace stray::trace
