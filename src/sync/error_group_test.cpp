#include <stray/error_group.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

TEST(error_group, waits_for_all_and_cancels_its_context) {
  error_group group;
  std::atomic<int> n{0};
  for (int i = 0; i < 100; i++) group.go([&n] { n++; });
  EXPECT_FALSE(group.ctx().err());
  group.wait();
  EXPECT_EQ(n, 100);
  EXPECT_EQ(group.ctx().err(), context_errc::canceled);
  all_ended();
}

TEST(error_group, destroys_what_a_function_captured_before_wait_returns) {
  for (int round = 0; round < 2000; round++) {
    auto shared = std::make_shared<int>(round);
    std::weak_ptr<int> seen = shared;
    error_group group;
    group.set_limit(1);
    group.go([shared = std::move(shared)] { yield(); });
    group.wait();
    ASSERT_TRUE(seen.expired());
  }
}

TEST(error_group, of_nothing) {
  error_group group;
  group.wait();
  EXPECT_TRUE(group.ctx().err());
}

TEST(error_group, rethrows_the_first_and_cancels_the_others) {
  auto [parent, cancel] = with_cancel(background());
  error_group group(parent);
  context ctx = group.ctx();
  group.go([ctx] {
    ctx.done().recv();
    throw std::runtime_error("second");
  });
  testing::until_parked(1);
  group.go([] { throw std::runtime_error("first"); });
  try {
    group.wait();
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "first");
  }
  EXPECT_THROW(group.wait(), std::runtime_error);
  EXPECT_FALSE(parent.err());
  all_ended();
}

TEST(error_group, keeps_its_first_exception_when_waited_for_again) {
  error_group group;
  auto waited = [&] {
    try {
      group.wait();
    } catch (const std::runtime_error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  group.go([] {});
  EXPECT_EQ(waited(), "");
  group.go([] { throw std::runtime_error("first"); });
  EXPECT_EQ(waited(), "first");
  group.go([] {});
  EXPECT_EQ(waited(), "first");
  group.go([] { throw std::runtime_error("second"); });
  EXPECT_EQ(waited(), "first");
  all_ended();
}

TEST(error_group, is_cancelled_by_its_parent) {
  auto [parent, cancel] = with_cancel(background());
  error_group group(parent);
  group.go([ctx = group.ctx()] { ctx.done().recv(); });
  testing::until_parked(1);
  cancel();
  group.wait();
  all_ended();
}

TEST(error_group, its_destructor_cancels_and_waits) {
  std::atomic<bool> ended{false};
  {
    error_group group;
    group.go([&, ctx = group.ctx()] {
      ctx.done().recv();
      ended = true;
    });
  }
  EXPECT_TRUE(ended);
  all_ended();
}

TEST(error_group, limits_how_many_run) {
  for (int limit : {1, 3}) {
    error_group group;
    group.set_limit(limit);
    std::atomic<int> running{0}, most{0};
    for (int i = 0; i < 50; i++) {
      group.go([&] {
        int now = ++running, seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        yield();
        running--;
      });
    }
    group.wait();
    EXPECT_LE(most, limit);
  }
  all_ended();
}

TEST(error_group, try_go_and_set_limit_while_some_run) {
  error_group group;
  EXPECT_TRUE(group.try_go([] {}));
  group.wait();
  error_group limited;
  limited.set_limit(1);
  auto gate = make_chan<void>();
  EXPECT_TRUE(limited.try_go([gate] { gate.recv(); }));
  EXPECT_FALSE(limited.try_go([] {}));
  try {
    limited.set_limit(2);
    FAIL();
  } catch (const panic& p) {
    EXPECT_STREQ(p.what(), "errgroup: modify limit while 1 goroutines in the group are still active");
  }
  gate.close();
  limited.wait();
  limited.set_limit(0);
  EXPECT_FALSE(limited.try_go([] {}));
  limited.set_limit(-1);
  EXPECT_TRUE(limited.try_go([] {}));
  limited.wait();
  all_ended();
}

TEST(error_group, starts_nothing_when_copying_throws) {
  struct thrower {
    thrower() = default;
    thrower(const thrower&) { throw std::runtime_error("copy"); }
    void operator()() {}
  } f;
  error_group group;
  group.set_limit(1);
  EXPECT_THROW(group.go(f), std::runtime_error);
  EXPECT_TRUE(group.try_go([] {}));
  group.wait();
  all_ended();
}

}  // namespace
}  // namespace stray
