// Who is suspected by age, and that only who asks for it is told.
#include "leak/suspects.h"

#include <atomic>
#include <gtest/gtest.h>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "runtime/test_waits.h"

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

}  // namespace
}  // namespace stray::leak
