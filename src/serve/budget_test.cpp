#include "serve/budget.h"

#include <gtest/gtest.h>

namespace stray::serve {
namespace {

constexpr std::int64_t ms = 1'000'000, s = 1000 * ms;

TEST(budget, a_burst_and_then_its_share) {
  budget b(5);
  std::int64_t now = 1000 * s;
  int burst = 0;
  for (; b.allows(now); burst++) b.pay(now, 5 * ms);
  EXPECT_EQ(burst, 201) << "a second of them, and the one that overdraws it";
  int later = 0;
  for (std::int64_t end = now + 100 * s; now < end; now += ms)
    for (; b.allows(now); later++) b.pay(now, 5 * ms);
  EXPECT_NEAR(later, 1000, 2) << "5 s in 100 s";
}

TEST(budget, a_long_one_is_followed_by_a_long_pause) {
  budget b(5);
  std::int64_t now = 1000 * s;
  EXPECT_TRUE(b.allows(now));
  b.pay(now, 3 * s);
  EXPECT_FALSE(b.allows(now + 39 * s));
  EXPECT_TRUE(b.allows(now + 40 * s)) << "3 s less the one in advance";
}

TEST(budget, idle_time_is_not_saved_up_for_ever) {
  budget b(50);
  b.pay(1000 * s, 1 * s);
  std::int64_t now = 1'000'000 * s;
  int burst = 0;
  for (; b.allows(now); burst++) b.pay(now, 100 * ms);
  EXPECT_EQ(burst, 11);
}

TEST(budget, a_hundred_percent_is_no_limit) {
  budget b(100);
  b.pay(1000 * s, 1000 * s);
  EXPECT_TRUE(b.allows(1000 * s));
}

TEST(budget, threads_rest_when_it_is_used_up) {
  budget b(5);
  constexpr std::int64_t now = 1000 * s;
  EXPECT_EQ(b.rest_ns(now, 10 * ms, 4), 0) << "not before";
  b.pay(now, 2 * budget::in_advance_ns);
  EXPECT_EQ(b.rest_ns(now, ms, 4), 80 * ms) << "four of them take 5 % together";
  EXPECT_EQ(b.rest_ns(now, 1000 * ms, 4), budget::longest_rest_ns);
  EXPECT_EQ(b.rest_ns(now + 40'000 * ms, ms, 4), 0) << "not afterwards";
  EXPECT_EQ(budget(100).rest_ns(now, ms, 4), 0) << "no limit";
}

}  // namespace
}  // namespace stray::serve
