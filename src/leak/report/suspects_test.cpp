// Who is suspected by age, and that only who asks for it is told.
#include "leak/report/suspects.h"

#include <atomic>
#include <gtest/gtest.h>
#include <sstream>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/report/history.h"
#include "runtime/test_waits.h"

namespace shop {
namespace {

[[gnu::noinline]] void wait_for_answer(const stray::chan<int>& ch) { ch.recv(); }
[[gnu::noinline]] void wait_for_work(const stray::chan<int>& ch) {
  while (ch.recv()) {
  }
}

}  // namespace
}  // namespace shop

namespace stray::leak {
namespace {

using ages = std::vector<std::int64_t>;
using indices = std::vector<std::size_t>;

indices who(const ages& a, std::int64_t floor_ns = 1000) {
  indices all;
  for (const outlier& x : outliers(a, floor_ns)) all.push_back(x.index);
  return all;
}

TEST(outliers, are_far_older_than_half_of_their_peers) {
  EXPECT_EQ(who({10, 9000, 20, 30, 40}), indices{1});
  EXPECT_EQ(who({500, 9000, 600, 700, 600}), indices{});
  EXPECT_EQ(who({10, 9000, 20, 30, 8000, 40, 50}), (indices{1, 4}));
}
TEST(outliers, need_peers_to_be_compared_with) {
  EXPECT_EQ(who({}), indices{});
  EXPECT_EQ(who({9000}), indices{});
  EXPECT_EQ(who({9000, 1, 2, 3}), indices{});
}
TEST(outliers, are_older_than_the_floor) {
  EXPECT_EQ(who({10, 900, 20, 30, 40}), indices{});
  EXPECT_EQ(who({0, 0, 0, 0, 1000}), indices{4});
}
TEST(outliers, are_none_where_half_are_stuck) { EXPECT_EQ(who({9000, 10, 9000, 20, 9000, 9000}), indices{}); }

std::vector<std::size_t> who_fills(const std::vector<std::int64_t>& since, wait_site site, std::int64_t floor_ns = 100) {
  site.first_look_ns = 1000;
  return filling(since, site, 10'000, floor_ns);
}

TEST(filling, is_who_came_one_by_one_and_stays) {
  const ages since = {500, 600, 2000, 3000, 4000, 9950};
  EXPECT_EQ(who_fills(since, {.first_count = 2}), (indices{0, 1, 2, 3, 4})) << "the last is too young";
  EXPECT_EQ(who_fills(since, {.first_count = 3}), indices{}) << "two more are no growth";
  EXPECT_EQ(who_fills({2000, 3000, 4000}, {}), (indices{0, 1, 2})) << "without healthy peers";
}
TEST(filling, is_no_idle_pool) {
  EXPECT_EQ(who_fills({500, 500, 500, 500, 500}, {.first_count = 5}), indices{}) << "of constant size";
  EXPECT_EQ(who_fills({2000, 3000, 4000, 5000, 6000}, {.first_count = 5}), indices{}) << "each has had something to do since";
  EXPECT_EQ(who_fills({2000, 2010, 2020, 2030, 2040}, {.first_count = 1}), indices{}) << "it wound down after a burst";
}
TEST(filling, is_nobody_where_who_waited_that_long_was_seen_to_wake) {
  EXPECT_EQ(who_fills({2000, 3000, 4000, 5000}, {.longest_ended_ns = 300}), (indices{0, 1, 2, 3}));
  EXPECT_EQ(who_fills({2000, 3000, 4000, 5000}, {.longest_ended_ns = 400}), indices{});
}

// Six wait at one line; five of them are given something to do time and again.
TEST(suspected, is_who_is_reachable_and_forgotten) {
  if (num_goroutine() != 0) GTEST_SKIP() << "other tests have left leaks";
  static std::vector<chan<int>> in;
  for (int i = 0; i < 6; i++) in.push_back(make_chan<int>());
  std::atomic<std::uint64_t> forgotten{0};
  for (const chan<int>& ch : in) {
    go([ch, &forgotten] {
      if (ch == in[0]) forgotten = goroutine_id();
      while (ch.recv()) {
      }
    });
  }
  testing::until_parked(6);
  report r;
  auto only = std::chrono::milliseconds(100);
  while (r.total() != 1) {  // on a busy machine a peer may stand out for a moment, but never without the forgotten one
    for (std::size_t i = 1; i < in.size(); i++) in[i].send(1);
    testing::until_parked(6);
    r = find({.min_tier = tier::suspected, .min_age = only});
  }
  ASSERT_EQ(r.groups().size(), 1u);
  EXPECT_EQ(r.groups()[0].tier, tier::suspected);
  ASSERT_EQ(r.groups()[0].goroutines.size(), 1u);
  EXPECT_EQ(r.groups()[0].goroutines[0].id, forgotten.load());
  EXPECT_NE(r.groups()[0].cause.find("5 others wait at the same place, half of them for no more than "), std::string::npos)
      << r.groups()[0].cause;
  EXPECT_EQ(find({.min_tier = tier::likely}).total(), 0u);
  EXPECT_EQ(find({.min_tier = tier::suspected}).total(), 0u);  // not for a minute yet
  for (const chan<int>& ch : in) ch.close();
  in.clear();
  all_ended();
}

// Nothing can be proven of either: their channels are globals.
TEST(suspected, is_a_site_that_fills_up_and_no_idle_pool) {
  if (num_goroutine() != 0) GTEST_SKIP() << "other tests have left leaks";
  static chan<int> answers = make_chan<int>(), jobs = make_chan<int>();
  constexpr std::size_t pool = 8;
  std::size_t parked = 0;
  for (; parked < pool; parked++) go(shop::wait_for_work, jobs);
  for (int i = 0; i < 2; i++, parked++) go(shop::wait_for_answer, answers);
  testing::until_parked(parked);
  const options wanted{.min_tier = tier::suspected, .min_age = std::chrono::milliseconds(50)};
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(find(wanted).total(), 0u) << "the first look";
  for (int i = 0; i < 5; i++, parked++) {
    go(shop::wait_for_answer, answers);
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
  }
  testing::until_parked(parked);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  report r = find(wanted);
  ASSERT_EQ(r.groups().size(), 1u) << r;
  const group& g = r.groups()[0];
  EXPECT_EQ(g.tier, tier::suspected);
  EXPECT_EQ(g.count, 7u);
  EXPECT_NE(g.stack[0].function.find("wait_for_answer"), std::string::npos) << r;
  EXPECT_NE(g.cause.find("all 7 that wait at the same place have waited for over 50 ms, the oldest for "), std::string::npos)
      << g.cause;
  EXPECT_NE(g.cause.find(", 5 more than at the first look "), std::string::npos) << g.cause;
  EXPECT_NE(g.cause.find("none was seen to wake"), std::string::npos) << g.cause;
  std::ostringstream text;
  text << r;
  EXPECT_NE(text.str().find("\n7 suspected, no proof of anything:\n"), std::string::npos) << text.str();
  EXPECT_EQ(text.str().find("leaked goroutine in"), std::string::npos) << text.str();
  EXPECT_EQ(find({.min_tier = tier::likely}).total(), 0u) << "no verdict";
  EXPECT_EQ(so_far().leaked(), 0u);
  std::ostringstream profile;
  pprof::write("goroutineleak", profile, 1);
  EXPECT_NE(profile.str().find("total 0"), std::string::npos) << profile.str();
  answers.close();
  jobs.close();
  all_ended();
}

}  // namespace
}  // namespace stray::leak
