// wait_group: wait returns when the counter is 0, for all that wait; the counter never goes below; it may be destroyed after wait.
#include <atomic>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <stray/go.hpp>
#include <stray/panic.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using stray::testing::until_parked;

static_assert(sizeof(wait_group) == 8);
constinit wait_group global;

TEST(wait_group, of_zero_does_not_wait) {
  wait_group g;
  g.wait();
  g.add(0);
  g.wait();
  global.wait();
}

TEST(wait_group, waits_for_all) {
  wait_group g;
  std::atomic<int> ended{0};
  for (int i = 0; i < 100; i++) g.go([&] { yield(), ended++; });
  g.wait();
  EXPECT_EQ(ended, 100);
  all_ended();
}

TEST(wait_group, wakes_all_that_wait) {
  wait_group g;
  g.add(2);
  std::atomic<int> through{0};
  for (int i = 0; i < 10; i++) go([&] { g.wait(), through++; });
  std::thread t([&] { g.wait(), through++; });
  until_parked(10);
  g.done();
  EXPECT_EQ(through, 0);
  g.done();
  until([&] { return through == 11; });
  t.join();
  all_ended();
}

TEST(wait_group, below_zero_panics_and_stays_as_it_was) {
  wait_group g;
  EXPECT_EQ(panic_of([&] { g.done(); }), "sync: negative WaitGroup counter");
  g.add(2);
  EXPECT_EQ(panic_of([&] { g.add(-3); }), "sync: negative WaitGroup counter");
  EXPECT_EQ(panic_of([&] { g.add(std::numeric_limits<std::int64_t>::min()); }), "sync: negative WaitGroup counter");
  g.done();
  g.add(-1);
  g.wait();
}

TEST(wait_group, above_its_range_panics_and_stays_as_it_was) {
  wait_group g;
  g.add(1);
  EXPECT_EQ(panic_of([&] { g.add(0x7fff'ffff); }), "sync: WaitGroup counter overflow");
  EXPECT_EQ(panic_of([&] { g.add(std::numeric_limits<std::int64_t>::max()); }), "sync: WaitGroup counter overflow");
  g.add(0x7fff'fffe);
  g.add(-0x7fff'ffff);
  g.wait();
}

TEST(wait_group, may_be_used_again) {
  wait_group g;
  std::atomic<int> n{0};
  for (int round = 1; round <= 500; round++) {
    for (int i = 0; i < 4; i++) g.go([&] { n++; });
    g.wait();
    ASSERT_EQ(n, 4 * round);
  }
  all_ended();
}

TEST(wait_group, two_are_a_meeting_point) {
  constexpr int n = 16;
  wait_group come, leave;
  for (int round = 0; round < 20; round++) {
    come.add(n);
    leave.add(n);
    std::atomic<int> gone{0}, early{0};
    for (int i = 0; i < n; i++) {
      go([&] {
        come.done();
        leave.wait();
        gone++;
      });
    }
    come.wait();
    for (int i = 0; i < n; i++) {
      early += gone;
      leave.done();
    }
    all_ended();
    EXPECT_EQ(gone, n);
    EXPECT_EQ(early, 0);
  }
}

TEST(wait_group, an_exception_of_its_goroutine_ends_the_process_and_not_the_wait) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto body = [] {
    wait_group g;
    g.go([] { throw std::runtime_error("the reason"); });
    g.wait();
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(2), "^panic: the reason\n");
}

TEST(wait_group, may_be_destroyed_right_after_wait) {
  for (int round = 0; round < 1000; round++) {
    auto g = std::make_unique<wait_group>();
    g->add(3);
    for (int i = 0; i < 3; i++) go([p = g.get()] { p->done(); });
    g->wait();
    g.reset();
  }
  std::atomic<int> ended{0};
  for (int i = 0; i < 50; i++) {
    go([&] {
      for (int k = 0; k < 20; k++) {
        wait_group g;
        for (int c = 0; c < 3; c++) g.go([] {});
        g.wait();
      }
      ended++;
    });
  }
  until([&] { return ended == 50; });
  all_ended();
}

// As after std::thread::join: what a function was given is gone.
TEST(wait_group, destroys_what_a_function_captured_before_wait_returns) {
  for (int round = 0; round < 2000; round++) {
    auto shared = std::make_shared<int>(round);
    std::weak_ptr<int> seen = shared;
    wait_group all;
    all.go([shared = std::move(shared)] { yield(); });
    all.wait();
    ASSERT_TRUE(seen.expired());
  }
}

TEST(wait_group, of_move_only_and_nested_work) {
  wait_group g;
  std::atomic<int> sum{0};
  g.go([p = std::make_unique<int>(5), &sum] { sum += *p; });
  g.go([&] {
    for (int i = 0; i < 10; i++) g.go([&] { sum++; });
  });
  g.wait();
  EXPECT_EQ(sum, 15);
  all_ended();
}

// What cannot be started must not be waited for.
struct throws_on_copy {
  throws_on_copy() = default;
  throws_on_copy(const throws_on_copy&) { throw std::runtime_error("copy"); }
  void operator()() const {}
};
TEST(wait_group, whose_go_throws_counts_nothing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto body = [] {  // a process of its own, with a time limit
    wait_group g;
    throws_on_copy f;
    try {
      g.go(f);
    } catch (const std::runtime_error&) {
      alarm(10);
      g.wait();
      std::_Exit(0);
    }
    std::_Exit(1);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

TEST(wait_group, sees_what_was_done) {
  for (int round = 0; round < 200; round++) {
    wait_group g;
    std::vector<int> data(8);  // plain: done and wait order it
    for (std::size_t i = 0; i < data.size(); i++) g.go([&, i] { data[i] = static_cast<int>(i) + 1; });
    g.wait();
    int sum = 0;
    for (int v : data) sum += v;
    ASSERT_EQ(sum, 36);
  }
  all_ended();
}

}  // namespace
}  // namespace stray
