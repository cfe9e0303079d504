// What looks at waits add up to, without anybody who waits.
#include "leak/model/wait_census.h"

#include <gtest/gtest.h>

namespace stray::leak {
namespace {

constexpr std::int64_t second = 1'000'000'000;

struct waiter {
  std::size_t record;
  std::uint64_t seq;
  std::int64_t since_s;
  std::uintptr_t where;
};

wait_census::site_key key_of(std::uintptr_t where) { return {"chan receive", {where}}; }

// How many stacks had to be read.
std::size_t look(wait_census& c, std::int64_t now_s, const std::vector<waiter>& all) {
  std::size_t read = 0;
  c.begin(now_s * second);
  for (const waiter& w : all) {
    if (c.still_waits(w.record, w.seq)) continue;
    c.add(w.record, w.seq, w.since_s * second, key_of(w.where));
    read++;
  }
  c.end();
  return read;
}

TEST(wait_census, counts_by_site_and_reads_a_stack_once) {
  wait_census c;
  const std::vector<waiter> all = {{1, 1, 10, 7}, {2, 1, 99, 7}, {3, 1, 100, 7}, {4, 1, 50, 8}};
  EXPECT_EQ(look(c, 100, all), 4u);
  EXPECT_EQ(look(c, 100, all), 0u);
  ASSERT_NE(c.find(key_of(7)), nullptr);
  EXPECT_EQ(c.find(key_of(9)), nullptr);
  const wait_site& s = *c.find(key_of(7));
  EXPECT_EQ(s.count, 3u);
  EXPECT_EQ(s.over_a_minute, 1u);
  EXPECT_EQ(s.oldest_since_ns, 10 * second);
  EXPECT_EQ(c.find(key_of(8))->count, 1u);
}

TEST(wait_census, growth_is_since_the_first_look_at_a_site) {
  wait_census c;
  look(c, 100, {{1, 1, 10, 7}, {2, 1, 99, 7}});
  look(c, 200, {{1, 1, 10, 7}, {2, 1, 99, 7}, {3, 1, 110, 7}, {4, 1, 120, 7}, {5, 1, 130, 7}, {6, 1, 190, 7}, {7, 1, 1, 8}});
  EXPECT_EQ(c.find(key_of(7))->first_count, 2u);
  EXPECT_EQ(c.find(key_of(7))->growth(), 3u) << "but for the one that has not waited for a minute";
  EXPECT_EQ(c.find(key_of(8))->growth(), 0u) << "this is the first look at it";
}

TEST(wait_census, of_an_idle_pool_is_constant) {
  wait_census c;
  std::vector<waiter> pool;
  for (std::size_t i = 1; i <= 5; i++) pool.push_back({i, 1, 10, 7});
  look(c, 100, pool);
  for (std::int64_t now = 200; now < 100'000; now += 100) {
    waiter& one = pool[static_cast<std::size_t>(now / 100) % 5];
    one.seq++;  // it has had something to do
    one.since_s = now - 1;
    look(c, now, pool);
  }
  EXPECT_EQ(c.find(key_of(7))->count, 5u);
  EXPECT_EQ(c.find(key_of(7))->growth(), 0u);
  EXPECT_EQ(c.find(key_of(7))->longest_ended_ns, 490 * second) << "of the first round; later each waits for four looks";
}

TEST(wait_census, knows_how_long_those_waited_who_woke) {
  wait_census c;
  look(c, 100, {{1, 1, 40, 7}, {2, 1, 90, 7}, {3, 1, 10, 7}});
  EXPECT_EQ(c.find(key_of(7))->longest_ended_ns, 0);
  look(c, 200, {{1, 2, 190, 8}, {3, 1, 10, 7}});
  EXPECT_EQ(c.find(key_of(7))->longest_ended_ns, 60 * second) << "as it was seen last";
  EXPECT_EQ(c.find(key_of(7))->count, 1u);
  c.begin(300 * second);
  c.pass(3, 1);  // it is leaked now
  c.end();
  EXPECT_EQ(c.find(key_of(7))->longest_ended_ns, 60 * second) << "it has not woken";
  EXPECT_EQ(c.find(key_of(7))->count, 0u);
  EXPECT_EQ(c.find(key_of(8))->longest_ended_ns, 10 * second);
}

}  // namespace
}  // namespace stray::leak
