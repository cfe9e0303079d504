// Contexts against Go's semantics. Time is injected.
#include <stray/context.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "runtime/test_waits.h"
#include "sync/context_tree.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using testing::fake_clock;

bool closed(const context& ctx) { return ctx.done().try_recv() == chan_status::closed; }
std::size_t children_of(const context& ctx) {
  detail::context_control* c = sync::control_of(ctx.view()->cancel);
  if (c == nullptr) return 0;
  std::size_t n = c->count;
  sync::release(c);
  return n;
}
bool has_control(const context& ctx) {
  detail::context_control* c = sync::control_of(ctx.view()->cancel);
  if (c != nullptr) sync::release(c);
  return c != nullptr;
}

void expect_open(const context& ctx) {
  EXPECT_FALSE(closed(ctx));
  EXPECT_EQ(ctx.err(), context_errc::none);
  EXPECT_FALSE(ctx.err());
}
void expect_canceled(const context& ctx, context_errc why = context_errc::canceled) {
  EXPECT_TRUE(closed(ctx));
  EXPECT_EQ(ctx.err(), why);
}

TEST(context, background_is_never_cancelled) {
  context ctx = background();
  EXPECT_FALSE(ctx.done());
  EXPECT_FALSE(ctx.err());
  EXPECT_FALSE(ctx.deadline());
  EXPECT_FALSE(ctx.value<int>("x"));
  EXPECT_FALSE(ctx.stop_token().stop_possible());
  EXPECT_TRUE(ctx == context());
}

TEST(context, errors_have_gos_texts) {
  std::error_code canceled = context_errc::canceled, late = context_errc::deadline_exceeded;
  EXPECT_EQ(canceled.message(), "context canceled");
  EXPECT_EQ(late.message(), "context deadline exceeded");
  EXPECT_EQ(canceled, std::errc::operation_canceled);
  EXPECT_EQ(late, std::errc::timed_out);
  EXPECT_NE(canceled, late);
}

TEST(context, cancel_closes_done_and_is_idempotent) {
  auto [ctx, cancel] = with_cancel(background());
  expect_open(ctx);
  cancel_func copy = cancel;
  copy();
  expect_canceled(ctx);
  cancel();
  std::thread(copy).join();
  expect_canceled(ctx);
  cancel_func empty;
  empty();
}

TEST(context, cancel_goes_down_and_not_up) {
  auto [top, cancel_top] = with_cancel(background());
  auto [middle, cancel_middle] = with_cancel(with_value(top, "k", 1));
  auto [leaf, cancel_leaf] = with_timeout(middle, 1h);
  auto [other, cancel_other] = with_cancel(top);
  EXPECT_EQ(children_of(top), 2u);
  EXPECT_EQ(children_of(middle), 1u);
  cancel_middle();
  expect_canceled(middle);
  expect_canceled(leaf);
  expect_open(top);
  expect_open(other);
  EXPECT_EQ(children_of(top), 1u);
  cancel_top();
  expect_canceled(top);
  expect_canceled(other);
  EXPECT_EQ(children_of(top), 0u);
}

TEST(context, a_child_that_is_cancelled_leaves_its_parent) {
  auto [top, cancel_top] = with_cancel(background());
  for (int i = 0; i < 3; i++) {
    auto [ctx, cancel] = with_cancel(top);
    EXPECT_EQ(children_of(top), 1u);
    cancel();
    EXPECT_EQ(children_of(top), 0u);
  }
}

TEST(context, a_child_of_a_cancelled_parent_is_cancelled) {
  fake_clock clock;
  auto [top, cancel_top] = with_cancel(background());
  cancel_top();
  auto [child, cancel_child] = with_timeout(top, 1h);
  expect_canceled(child);
  auto [late, cancel_late] = with_timeout(background(), 1s);
  clock.advance(1s);
  auto [below, cancel_below] = with_cancel(late);
  expect_canceled(below, context_errc::deadline_exceeded);
}

TEST(context, a_deadline_cancels) {
  fake_clock clock;
  time_point start = clock.now();
  auto [ctx, cancel] = with_timeout(background(), 10s);
  auto [child, cancel_child] = with_cancel(ctx);
  EXPECT_EQ(ctx.deadline(), start + 10s);
  EXPECT_EQ(child.deadline(), start + 10s);
  clock.advance(9s);
  expect_open(child);
  clock.advance(1s);
  expect_canceled(ctx, context_errc::deadline_exceeded);
  expect_canceled(child, context_errc::deadline_exceeded);
  cancel();
  EXPECT_EQ(ctx.err(), context_errc::deadline_exceeded);
}

TEST(context, a_cancel_before_the_deadline_decides) {
  fake_clock clock;
  auto [ctx, cancel] = with_timeout(background(), 10s);
  cancel();
  clock.advance(20s);
  expect_canceled(ctx);
}

TEST(context, a_parents_earlier_deadline_stays) {
  fake_clock clock;
  time_point start = clock.now();
  auto [ctx, cancel] = with_timeout(background(), 10s);
  auto [later, cancel_later] = with_deadline(ctx, start + 20s);
  auto [earlier, cancel_earlier] = with_deadline(ctx, start + 5s);
  EXPECT_EQ(later.deadline(), start + 10s);
  EXPECT_EQ(earlier.deadline(), start + 5s);
  clock.advance(5s);
  expect_canceled(earlier, context_errc::deadline_exceeded);
  expect_open(ctx);
  expect_open(later);
  clock.advance(5s);
  expect_canceled(later, context_errc::deadline_exceeded);
}

TEST(context, a_deadline_in_the_past_cancels_at_once) {
  fake_clock clock;
  auto [now, cancel_now] = with_timeout(background(), 0s);
  expect_canceled(now, context_errc::deadline_exceeded);
  auto [past, cancel_past] = with_deadline(background(), clock.now() - 1h);
  expect_canceled(past, context_errc::deadline_exceeded);
  auto [never, cancel_never] = with_deadline(background(), time_point::max());
  expect_open(never);
  EXPECT_FALSE(never.deadline());
  cancel_never();
  expect_canceled(never);
}

struct key {
  int n;
  bool operator==(const key&) const = default;
};
enum class other_key { n };
TEST(context, values) {
  context a = with_value(background(), key{1}, std::string("one"));
  context b = with_value(a, key{2}, 2);
  context c = with_value(b, "name", 3.5);
  context d = with_value(c, key{1}, std::string("again"));
  EXPECT_EQ(a.value<std::string>(key{1}), "one");
  EXPECT_EQ(c.value<std::string>(key{1}), "one");
  EXPECT_EQ(d.value<std::string>(key{1}), "again");
  EXPECT_EQ(d.value<int>(key{2}), 2);
  EXPECT_FALSE(a.value<int>(key{2}));
  EXPECT_FALSE(d.value<long>(key{2}));  // another type of value
  EXPECT_FALSE(d.value<int>(2));        // another type of key
  EXPECT_FALSE(d.value<int>(other_key::n));
  EXPECT_EQ(d.value<double>("name"), 3.5);
  EXPECT_EQ(d.value<double>(std::string("name")), 3.5);
  EXPECT_EQ(d.value<double>(std::string_view("name")), 3.5);
  const char* name = "name";
  EXPECT_EQ(d.value<double>(name), 3.5);
  EXPECT_FALSE(d.value<double>("nam"));
  EXPECT_FALSE(d.done());
  auto [e, cancel] = with_cancel(d);
  EXPECT_EQ(with_value(e, 7, 8).value<double>("name"), 3.5);
  const char* none = nullptr;
  EXPECT_THROW(with_value(a, none, 1), panic);
}

TEST(context, values_live_as_long_as_a_context_that_leads_to_them) {
  auto value = std::make_shared<int>(1);
  std::weak_ptr<int> alive = value;
  context ctx;
  cancel_func cancel;
  {
    auto made = with_cancel(with_value(background(), "k", std::move(value)));
    ctx = made.ctx;
    cancel = made.cancel;
  }
  EXPECT_FALSE(alive.expired());
  EXPECT_EQ(**ctx.value<std::shared_ptr<int>>("k"), 1);
  ctx = {};
  EXPECT_TRUE(alive.expired());
  cancel();
}

TEST(context, wakes_goroutines_and_threads) {
  auto [ctx, cancel] = with_cancel(background());
  std::atomic<int> woken{0};
  auto body = [&woken, ctx = ctx] {
    EXPECT_FALSE(ctx.done().recv());
    EXPECT_EQ(ctx.err(), context_errc::canceled);
    woken++;
  };
  for (int i = 0; i < 10; i++) go(body);
  std::thread thread(body);
  testing::until_parked(10);
  cancel();
  thread.join();
  all_ended();
  EXPECT_EQ(woken, 11);
}

// --- stop tokens ----------------------------------------------------------------------------------------------------------------------

TEST(context, is_cancelled_by_a_stop_token) {
  std::stop_source source;
  auto [ctx, cancel] = with_stop_token(background(), source.get_token());
  auto [child, cancel_child] = with_cancel(ctx);
  expect_open(child);
  source.request_stop();
  expect_canceled(ctx);
  expect_canceled(child);
  auto [late, cancel_late] = with_stop_token(background(), source.get_token());
  expect_canceled(late);
  auto [never, cancel_never] = with_stop_token(background(), std::stop_token());
  expect_open(never);
  cancel_never();
  expect_canceled(never);
}

TEST(context, outlived_by_its_stop_source) {
  std::stop_source source;
  for (int i = 0; i < 3; i++) {
    auto [ctx, cancel] = with_stop_token(background(), source.get_token());
    if (i == 1) cancel();
  }
  source.request_stop();
}

TEST(context, requests_stop) {
  auto [ctx, cancel] = with_cancel(background());
  auto [child, cancel_child] = with_cancel(ctx);
  std::stop_token token = child.stop_token(), same = child.stop_token();
  EXPECT_TRUE(token == same);
  EXPECT_TRUE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  int called = 0;
  std::stop_callback call(token, [&, ctx = ctx] {
    called++;
    EXPECT_EQ(ctx.err(), context_errc::canceled);  // all is cancelled by then
  });
  cancel();
  EXPECT_EQ(called, 1);
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(ctx.stop_token().stop_requested());
  EXPECT_TRUE(with_value(ctx, 1, 1).stop_token().stop_requested());
}

TEST(context, requests_stop_at_its_deadline) {
  fake_clock clock;
  auto [ctx, cancel] = with_timeout(background(), 1s);
  std::stop_token token = ctx.stop_token();
  std::atomic<std::uint64_t> in{0};
  std::stop_callback call(token, [&] { in = goroutine_id(); });
  clock.advance(1s);
  while (in == 0) yield();
  EXPECT_TRUE(token.stop_requested());
  all_ended();
}

TEST(context, a_ring_of_stop_tokens_ends) {
  std::stop_source source;
  auto [ctx, cancel] = with_stop_token(background(), source.get_token());
  std::stop_callback back(ctx.stop_token(), [&] { source.request_stop(); });
  cancel();
  EXPECT_TRUE(source.stop_requested());
  expect_canceled(ctx);
}

TEST(context, a_token_outlives_the_last_who_could_cancel) {
  std::stop_token token;
  {
    auto [ctx, cancel] = with_cancel(background());
    token = ctx.stop_token();
  }
  EXPECT_FALSE(token.stop_requested());
  EXPECT_FALSE(token.stop_possible());
}

// --- what is not kept -------------------------------------------------------------------------------------------------------------------

TEST(context, dropped_children_do_not_pile_up) {
  auto [top, cancel_top] = with_cancel(background());
  for (int i = 0; i < 1000; i++) {
    auto [ctx, cancel] = with_timeout(top, 1h);
    EXPECT_EQ(children_of(top), 1u);
  }
  EXPECT_EQ(children_of(top), 0u);
  std::vector<recv_chan<void>> kept;
  std::size_t most = 0;
  for (int i = 0; i < 10000; i++) {  // only done() is held, and not for long
    recv_chan<void> done = with_cancel(top).ctx.done();
    if (i % 100 == 0) kept.push_back(done);
    most = std::max(most, children_of(top));
  }
  EXPECT_LT(most, 600u);
  cancel_top();
  for (const recv_chan<void>& done : kept) EXPECT_EQ(done.try_recv(), chan_status::closed);
}

TEST(context, a_dropped_chain_goes_with_its_end) {
  auto [top, cancel_top] = with_cancel(background());
  recv_chan<void> done;
  {
    context ctx = top;
    for (int i = 0; i < 10; i++) ctx = with_cancel(ctx).ctx;
    done = ctx.done();
    EXPECT_EQ(children_of(top), 1u);
  }
  EXPECT_EQ(children_of(top), 1u);  // cancelling top must close it
  cancel_top();
  EXPECT_EQ(done.try_recv(), chan_status::closed);
  auto [again, cancel_again] = with_cancel(background());
  {
    context ctx = again;
    for (int i = 0; i < 10; i++) ctx = with_cancel(ctx).ctx;
  }
  EXPECT_EQ(children_of(again), 0u);
}

TEST(context, without_anybody_who_could_cancel_has_no_control) {
  context orphan = with_cancel(background()).ctx;
  EXPECT_FALSE(has_control(orphan));
  auto [child, cancel] = with_cancel(orphan);
  EXPECT_TRUE(has_control(child));
  cancel();
  expect_canceled(child);
  expect_open(orphan);
  auto [top, cancel_top] = with_cancel(background());
  context below = with_cancel(top).ctx;
  EXPECT_TRUE(has_control(below));  // top's
  cancel_top = {};
  EXPECT_FALSE(has_control(below));
  EXPECT_FALSE(has_control(top));
  fake_clock clock;
  context timed = with_timeout(background(), 1s).ctx;
  EXPECT_TRUE(has_control(timed));
  clock.advance(1s);
  EXPECT_FALSE(has_control(timed));
  expect_canceled(timed, context_errc::deadline_exceeded);
}

TEST(context, a_chain_longer_than_a_stack) {
  for (bool cancelled : {true, false}) {
    auto made = with_cancel(background());
    std::vector<cancel_func> keep;
    context ctx = made.ctx;
    for (int i = 0; i < 100000; i++) ctx = with_value(with_cancel(ctx).ctx, i, i);
    if (cancelled) {
      made.cancel();
      expect_canceled(ctx);
    } else {
      made.cancel = {};
      EXPECT_FALSE(has_control(ctx));
    }
  }
}

// --- at the same time -------------------------------------------------------------------------------------------------------------------

TEST(context, err_and_done_agree_at_every_instant) {
  for (int i = 0; i < 100; i++) {
    auto [ctx, cancel] = with_cancel(background());
    std::atomic<int> ended{0};
    for (int k = 0; k < 2; k++) {
      go([&ended, ctx = ctx] {
        while (!ctx.err()) yield();
        EXPECT_TRUE(closed(ctx));
        ended++;
      });
      go([&ended, ctx = ctx] {
        ctx.done().recv();
        EXPECT_TRUE(ctx.err());
        ended++;
      });
    }
    go(cancel);
    while (ended != 4) yield();
  }
  all_ended();
}

TEST(context, children_come_while_the_parent_goes) {
  for (int i = 0; i < 300; i++) {
    auto [top, cancel] = with_cancel(background());
    std::atomic<int> ended{0};
    for (int k = 0; k < 3; k++) {
      go([&ended, top = top] {
        std::vector<cancelable_context> mine;
        for (int n = 0; n < 20; n++) mine.push_back(with_cancel(n % 2 == 0 || mine.empty() ? top : mine.back().ctx));
        for (cancelable_context& c : mine) c.ctx.done().recv();
        ended++;
      });
    }
    std::thread thread([&, cancel = cancel] { cancel(); });
    while (ended != 3) yield();
    thread.join();
  }
  all_ended();
}

// Seeded: a tree that grows, is cancelled, dropped, timed out and asked from all sides.
TEST(context, stress) {
  for (unsigned seed = 1; seed <= 10; seed++) {
    fake_clock clock;
    mutex lock;
    auto made = with_cancel(background());
    std::vector<context> contexts{made.ctx};
    std::vector<cancel_func> cancels;
    std::stop_source source;
    std::atomic<int> left{4};
    auto body = [&](unsigned me) {
      std::mt19937 random(seed * 100 + me);
      for (int step = 0; step < 400; step++) {
        context ctx;
        cancel_func cancel;
        {
          std::lock_guard hold(lock);
          ctx = contexts[random() % contexts.size()];
          if (!cancels.empty()) cancel = cancels[random() % cancels.size()];
        }
        switch (random() % 8) {
          case 0: {
            auto [c, f] = with_timeout(ctx, std::chrono::microseconds(random() % 50));
            std::lock_guard hold(lock);
            contexts.push_back(c);
            break;
          }
          case 1: {
            auto [c, f] = with_stop_token(ctx, source.get_token());
            std::lock_guard hold(lock);
            contexts.push_back(c);
            if (random() % 2 == 0) cancels.push_back(f);
            break;
          }
          case 2:
            if (random() % 4 == 0) cancel();
            break;
          case 3: {
            context victim;
            std::lock_guard hold(lock);
            if (contexts.size() > 1) {
              std::swap(contexts[1 + random() % (contexts.size() - 1)], contexts.back());
              victim = std::move(contexts.back());
              contexts.pop_back();
            }
            break;
          }
          case 4: {
            std::stop_token token = ctx.stop_token();
            if (token.stop_requested()) {
              EXPECT_TRUE(ctx.err());
            }
            break;
          }
          case 5:
            if (ctx.err()) {
              EXPECT_TRUE(closed(ctx));
            }
            break;
          default: {
            auto [c, f] = with_cancel(with_value(ctx, static_cast<int>(me), step));
            std::lock_guard hold(lock);
            contexts.push_back(c);
            cancels.push_back(f);
          }
        }
        if (step % 16 == 0) yield();
      }
      left--;
    };
    for (unsigned i = 0; i < 3; i++) go(body, i);
    std::thread thread(body, 3);
    while (left != 0) {
      clock.advance(1us);
      yield();
    }
    thread.join();
    if (seed % 2 == 0) source.request_stop();
    made.cancel();
    for (const context& c : contexts) EXPECT_TRUE(closed(c)) << "seed " << seed;
    all_ended();
  }
}

}  // namespace
}  // namespace stray
