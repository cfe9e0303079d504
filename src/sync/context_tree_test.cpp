// Trees of contexts cancelled from many sides, layers of every kind, and what is registered on them: callbacks of stop tokens, other contexts,
// condition variables.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include <stray/chan.hpp>
#include <stray/condition_variable.hpp>
#include <stray/context.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using testing::fake_clock;
using testing::until_parked;

bool closed(const context& ctx) { return ctx.done().try_recv() == chan_status::closed; }

// A hundred and more, four children each; every one is cancelled by a goroutine of its own and waited for by another.
TEST(context_tree, all_of_it_cancelled_from_everywhere_at_once) {
  for (unsigned seed = 1; seed <= 5; seed++) {
    std::vector<cancelable_context> tree{with_cancel(background())};
    for (std::size_t i = 0; tree.size() < 120; i++) {
      context parent = tree[i].ctx;
      for (int k = 0; k < 4; k++) tree.push_back(k == 3 ? with_timeout(parent, 1h) : with_cancel(parent));
    }
    std::shuffle(tree.begin(), tree.end(), std::mt19937(seed));
    wait_group group;
    std::atomic<int> wrong{0};
    for (const cancelable_context& c : tree) {
      group.go([cancel = c.cancel] { cancel(); });
      group.go([&wrong, ctx = c.ctx] {
        ctx.done().recv();
        wrong += ctx.err() != context_errc::canceled;
      });
    }
    group.wait();
    EXPECT_EQ(wrong, 0);
  }
  all_ended();
}

TEST(context_tree, a_child_cancelled_by_who_waited_for_its_parent) {
  for (int i = 0; i < 100; i++) {
    auto [parent, cancel_parent] = with_cancel(background());
    auto [child, cancel_child] = with_cancel(parent);
    go([parent = parent, cancel_child = cancel_child] {
      parent.done().recv();
      cancel_child();
    });
    cancel_parent();
    EXPECT_FALSE(child.done().recv());
  }
  all_ended();
}

// Values, cancels and time-outs above each other, in an order that the seed gives.
struct layers {
  context top = background();
  std::vector<cancel_func> cancels;
  int values = 0;

  layers(std::mt19937& random, std::chrono::nanoseconds longest) {
    bool timed = false;
    for (int i = 0; i < 30 || values == 0 || !timed; i++) {
      switch (random() % 3) {
        case 0:
          top = with_value(top, values, std::to_string(values));
          values++;
          break;
        case 1: {
          auto [ctx, cancel] = with_cancel(top);
          top = ctx;
          cancels.push_back(cancel);
          break;
        }
        default: {
          auto [ctx, cancel] = with_timeout(top, longest);
          top = ctx;
          cancels.push_back(cancel);
          timed = true;
        }
      }
    }
  }
  void expect_values() const {
    for (int i = 0; i < values; i++) EXPECT_EQ(top.value<std::string>(i), std::to_string(i));
    EXPECT_FALSE(top.value<std::string>(values).has_value());
  }
};
TEST(context_tree, layers_in_any_order_are_cancelled) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    layers made(random, 1000h);
    EXPECT_FALSE(closed(made.top));
    made.expect_values();
    made.cancels[random() % made.cancels.size()]();
    EXPECT_TRUE(closed(made.top));
    EXPECT_EQ(made.top.err(), context_errc::canceled);
    made.expect_values();
  }
}
TEST(context_tree, layers_in_any_order_time_out) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    SCOPED_TRACE(seed);
    fake_clock clock;
    std::mt19937 random(seed);
    layers made(random, 3s);
    clock.advance(2s);
    EXPECT_FALSE(closed(made.top));
    clock.advance(1s);
    EXPECT_TRUE(closed(made.top));
    EXPECT_EQ(made.top.err(), context_errc::deadline_exceeded);
    made.expect_values();
  }
}

TEST(context_tree, a_deadline_on_the_real_clock) {
  auto before = std::chrono::steady_clock::now();
  auto [timed, cancel_timed] = with_timeout(background(), 3ms);
  auto [below, cancel_below] = with_timeout(with_cancel(timed).ctx, 1000h);
  EXPECT_FALSE(below.done().recv());
  EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
  EXPECT_EQ(below.err(), context_errc::deadline_exceeded);
  auto [dated, cancel_dated] = with_deadline(background(), std::chrono::steady_clock::now() + 1ms);
  std::atomic<bool> late{false};
  go([&, dated = dated] {
    dated.done().recv();
    late = dated.err() == context_errc::deadline_exceeded;
  });
  all_ended();
  EXPECT_TRUE(late);
}

TEST(context_tree, starts_no_goroutine) {
  fake_clock clock;
  std::stop_source source;
  auto [top, cancel_top] = with_stop_token(background(), source.get_token());
  auto [timed, cancel_timed] = with_timeout(with_value(top, 1, 1), 1s);
  auto [leaf, cancel_leaf] = with_cancel(timed);
  EXPECT_EQ(num_goroutine(), 0u);
  clock.advance(1s);
  EXPECT_TRUE(closed(leaf));
  source.request_stop();
  EXPECT_TRUE(closed(top));
  auto [late, cancel_late] = with_cancel(leaf);
  EXPECT_EQ(num_goroutine(), 0u);
}

TEST(context_tree, a_value_of_another_type_hides_the_one_above) {
  context above = with_value(background(), "user", std::string("gopher"));
  context hidden = with_value(above, "user", nullptr);
  EXPECT_EQ(above.value<std::string>("user"), "gopher");
  EXPECT_FALSE(hidden.value<std::string>("user").has_value());
  EXPECT_TRUE(hidden.value<std::nullptr_t>("user").has_value());
  EXPECT_EQ(with_value(hidden, "user", std::string("again")).value<std::string>("user"), "again");
}

// --- what is registered -----------------------------------------------------------------------------------------------------------------

TEST(context_tree, a_callback_on_a_cancelled_context_runs_at_once) {
  fake_clock clock;
  auto [ctx, cancel] = with_cancel(background());
  auto [late, cancel_late] = with_timeout(background(), 1s);
  cancel();
  clock.advance(1s);
  for (const context& c : {ctx, late}) {
    int called = 0;
    std::stop_callback call(c.stop_token(), [&] { called++; });
    EXPECT_EQ(called, 1);
  }
}

TEST(context_tree, a_callback_that_is_gone_does_not_run) {
  auto [ctx, cancel] = with_cancel(background());
  std::stop_token token = ctx.stop_token();
  int called = 0;
  std::optional<std::stop_callback<std::function<void()>>> gone(std::in_place, token, [&] { called += 100; });
  std::stop_callback stays(token, [&] { called++; });
  gone.reset();
  cancel();
  EXPECT_EQ(called, 1);
}

TEST(context_tree, a_callback_that_blocks_holds_up_only_who_cancels) {
  auto [top, cancel] = with_cancel(background());
  auto [child, cancel_child] = with_cancel(top);
  auto open = make_chan<void>();
  std::stop_callback call(top.stop_token(), [&] { open.recv(); });
  std::atomic<bool> returned{false};
  go([&, cancel = cancel] {
    cancel();
    returned = true;
  });
  EXPECT_FALSE(child.done().recv());
  until_parked(1);
  EXPECT_FALSE(returned);
  EXPECT_EQ(with_cancel(child).ctx.err(), context_errc::canceled);  // the tree is not locked
  cancel_child();
  open.send();
  all_ended();
  EXPECT_TRUE(returned);
}

TEST(context_tree, a_context_that_ends_with_either_of_two) {
  for (bool first : {true, false}) {
    auto [one, cancel_one] = with_cancel(with_value(background(), "k", 1));
    auto [two, cancel_two] = with_cancel(background());
    auto [both, cancel_both] = with_stop_token(one, two.stop_token());
    EXPECT_FALSE(closed(both));
    first ? cancel_one() : cancel_two();
    EXPECT_TRUE(closed(both));
    EXPECT_EQ(both.err(), context_errc::canceled);
    EXPECT_EQ(both.value<int>("k"), 1);
    EXPECT_EQ(closed(one), first);
    EXPECT_EQ(closed(two), !first);
  }
}

TEST(context_tree, ends_a_wait_on_a_condition_variable) {
  mutex m;
  condition_variable changed;
  std::atomic<int> ended{0};
  for (int i = 0; i < 4; i++) {
    go([&] {
      auto [ctx, cancel] = with_timeout(background(), 1ms);
      std::stop_callback wake(ctx.stop_token(), [&] {
        std::lock_guard lock(m);
        changed.notify_all();
      });
      std::unique_lock lock(m);
      changed.wait(lock, [&, ctx = ctx] { return static_cast<bool>(ctx.err()); });
      lock.unlock();  // the callback's destructor waits for a run of it
      ended += ctx.err() == context_errc::deadline_exceeded;
    });
  }
  all_ended();
  EXPECT_EQ(ended, 4);
}

}  // namespace
}  // namespace stray
