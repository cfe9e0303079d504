// Which rows the census of waits makes, and in what order.
#include "leak/report/longest.h"

#include <gtest/gtest.h>

#include "leak/model/wait_census.h"

namespace shop {
namespace {
[[gnu::noinline]] void work() { asm volatile("nop"); }
[[gnu::noinline]] void answer() { asm volatile("nop; nop"); }
}  // namespace
}  // namespace shop

namespace stray::leak {
namespace {

constexpr std::int64_t second = 1'000'000'000;

std::uintptr_t in(void (*f)()) { return reinterpret_cast<std::uintptr_t>(f) + 1; }

struct watched {
  wait_census census;
  std::size_t next = 0;

  void add(std::uintptr_t where, std::int64_t since_s, std::uintptr_t root = 1) {
    census.add(++next, 1, since_s * second, {"chan receive", {where, root}});
  }
  void begin(std::int64_t now_s) {
    census.begin(now_s * second);
    for (std::size_t i = 1; i <= next; i++) census.still_waits(i, 1);
  }
};

TEST(longest, what_grows_comes_first_then_what_is_old) {
  watched w;
  w.begin(100);
  for (int i = 0; i < 8; i++) w.add(in(shop::work), 1);
  w.add(in(shop::answer), 90);
  w.census.end();
  w.begin(200);
  for (int i = 0; i < 5; i++) w.add(in(shop::answer), 110 + i);
  w.census.end();
  std::vector<longest_row> rows = longest_rows(w.census, 20);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_NE(rows[0].function.find("answer"), std::string::npos) << rows[0].function;
  EXPECT_EQ(rows[0].reason, "chan receive");
  EXPECT_EQ(rows[0].count, 6u);
  EXPECT_EQ(rows[0].over_a_minute, 6u);
  EXPECT_EQ(rows[0].growth, 5u);
  EXPECT_EQ(rows[0].oldest, std::chrono::seconds(110));
  EXPECT_NE(rows[0].site().find(" longest_test.cpp:"), std::string::npos) << rows[0].site();
  EXPECT_EQ(rows[1].count, 8u);
  EXPECT_EQ(rows[1].growth, 0u) << "an idle pool";
  EXPECT_EQ(rows[1].oldest, std::chrono::seconds(199));
  EXPECT_EQ(longest_rows(w.census, 1).size(), 1u);
}

TEST(longest, stacks_that_end_at_one_line_are_one_row) {
  watched w;
  w.begin(100);
  w.add(in(shop::work), 98, in(shop::answer));
  w.add(in(shop::work), 10);
  w.census.end();
  std::vector<longest_row> rows = longest_rows(w.census, 20);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].count, 2u);
  EXPECT_EQ(rows[0].over_a_minute, 1u);
  EXPECT_EQ(rows[0].oldest, std::chrono::seconds(90));
}

}  // namespace
}  // namespace stray::leak
