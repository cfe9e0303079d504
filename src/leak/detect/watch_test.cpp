// on_leak: each leak once for each subscription, what a look may cost, and every way to end.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "base/clock.h"
#include "leak/detect/detection.h"
#include "leak/detect/detector.h"
#include "leak/detect/watch.h"
#include "leak/model/findings.h"
#include "leak/report/make_report.h"
#include "runtime/park.h"

namespace {

using namespace std::chrono_literals;
using stray::leak::earliest_next_ns;
using stray::leak::on_leak;
using stray::leak::report;

// Leaks stay until the process ends, so what other tests of this process left is new to each subscription: ids tell them apart.
std::uint64_t leak_one() {
  auto id = stray::make_chan<std::uint64_t>(1);
  stray::go([id] {
    id.send(stray::goroutine_id());
    stray::make_chan<int>().recv();
  });
  return *id.recv();
}

void until_blocked(std::uint64_t id) {  // so that a look finds it
  for (;;) {
    for (const stray::leak::group& g : stray::leak::find().groups()) {
      for (const stray::leak::goroutine& one : g.goroutines) {
        if (one.id == id) return;
      }
    }
    stray::yield();
  }
}

struct seen {
  stray::mutex lock;
  std::vector<std::uint64_t> ids, generations;
  void operator()(const report& r) {
    std::lock_guard held(lock);
    generations.push_back(r.generation());
    EXPECT_GT(r.total(), 0U);
    std::size_t n = 0;
    for (const stray::leak::group& g : r.groups()) {
      EXPECT_EQ(g.count, g.goroutines.size());
      for (const stray::leak::goroutine& one : g.goroutines) ids.push_back(one.id), n++;
    }
    EXPECT_EQ(n, r.total());
  }
  std::ptrdiff_t times(std::uint64_t id) {
    std::lock_guard held(lock);
    return std::count(ids.begin(), ids.end(), id);
  }
  std::size_t calls() {
    std::lock_guard held(lock);
    return generations.size();
  }
};

// One look: when it returns, the watch sleeps again.
void look(stray::testing::fake_clock& clock, stray::leak::subscription& s) {
  static_cast<void>(s);
  stray::testing::until_pending(1);
  clock.advance(1h);
  stray::testing::until_pending(1);
}

std::size_t asking() {  // who waits for the detector's thread
  std::size_t n = 0;
  auto& all = stray::runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    n += all.at(i)->current_state() == stray::runtime::state::waiting &&
         all.at(i)->reason == stray::runtime::wait_reason::internal;
  }
  return n;
}

void until_ended() {
  while (stray::leak::watch_runs()) stray::yield();
}

TEST(on_leak, reports_each_leak_once) {
  stray::testing::fake_clock clock;
  seen got;
  auto watch = on_leak(std::ref(got), 1h);
  std::uint64_t first = leak_one();
  until_blocked(first);
  EXPECT_EQ(got.times(first), 0) << "the first look is after `every`";
  look(clock, watch);
  EXPECT_EQ(got.times(first), 1);
  std::size_t calls = got.calls();
  look(clock, watch);
  look(clock, watch);
  EXPECT_EQ(got.times(first), 1);
  EXPECT_EQ(got.calls(), calls) << "nothing new, no call";
  std::uint64_t second = leak_one();
  until_blocked(second);
  look(clock, watch);
  EXPECT_EQ(got.times(first), 1);
  EXPECT_EQ(got.times(second), 1);
  EXPECT_EQ(stray::runtime::wrong_verdicts(), 0U);
}

TEST(on_leak, each_subscription_gets_them) {
  stray::testing::fake_clock clock;
  std::uint64_t before = leak_one();
  until_blocked(before);
  seen a, b;
  auto watch_a = on_leak(std::ref(a), 1h), watch_b = on_leak(std::ref(b), 1h);
  look(clock, watch_a);
  EXPECT_EQ(a.times(before), 1);
  EXPECT_EQ(b.times(before), 1);
  EXPECT_EQ(a.generations, b.generations) << "one detection for both";
}

TEST(on_leak, silent_without_leaks_that_it_wants) {
  stray::testing::fake_clock clock;
  std::uint64_t young = leak_one();
  until_blocked(young);
  seen got;
  auto watch = on_leak(std::ref(got), 1h, {.min_age = 24h});
  look(clock, watch);
  look(clock, watch);
  EXPECT_EQ(got.calls(), 0U);
}

TEST(on_leak, runs_while_there_are_subscriptions) {
  until_ended();
  {
    auto one = on_leak([](const report&) {}, 1h);
    EXPECT_TRUE(stray::leak::watch_runs());
    {
      auto two = on_leak([](const report&) {}, 2h);
      stray::leak::subscription moved = std::move(one);
      one = std::move(two);
    }
    EXPECT_TRUE(stray::leak::watch_runs());
  }
  until_ended();
  auto again = on_leak([](const report&) {}, 1h);
  EXPECT_TRUE(stray::leak::watch_runs());
}

TEST(on_leak, an_exception_ends_nothing) {
  stray::testing::fake_clock clock;
  int calls = 0;
  auto watch = on_leak(
      [&calls](const report&) {
        calls++;
        throw std::runtime_error("no");
      },
      1h);
  testing::internal::CaptureStderr();
  for (int i = 1; i <= 2; i++) {
    until_blocked(leak_one());
    look(clock, watch);
    EXPECT_EQ(calls, i);
  }
  EXPECT_NE(testing::internal::GetCapturedStderr().find("stray: a callback of on_leak threw: no"), std::string::npos);
}

TEST(on_leak, a_callback_may_end_its_own_subscription) {
  until_ended();
  stray::testing::fake_clock clock;
  until_blocked(leak_one());
  std::optional<stray::leak::subscription> watch;
  auto called = stray::make_chan<void>(1);
  watch.emplace(on_leak(
      [&watch, called](const report&) {
        watch.reset();
        called.send();
      },
      1h));
  stray::testing::until_pending(1);
  clock.advance(1h);
  called.recv();
  until_ended();
}

TEST(on_leak, the_end_waits_for_a_call) {
  stray::testing::fake_clock clock;
  until_blocked(leak_one());
  auto called = stray::make_chan<void>(), go_on = stray::make_chan<void>();
  auto ended = stray::make_chan<void>(1);
  std::atomic<bool> over{false};
  std::optional<stray::leak::subscription> watch(on_leak(
      [&](const report&) {
        called.send();
        go_on.recv();
        over = true;
      },
      1h));
  stray::testing::until_pending(1);
  clock.advance(1h);
  called.recv();
  stray::go([&] {
    watch.reset();
    EXPECT_TRUE(over);
    ended.send();
  });
  for (int i = 0; i < 100; i++) stray::yield();
  EXPECT_EQ(ended.len(), 0U);
  go_on.send();
  ended.recv();
}

TEST(on_leak, an_assignment_ends_the_one_before) {
  auto held = std::make_shared<int>(0);
  auto holding = [&held] { return [held](const report&) { ++*held; }; };
  auto watch = on_leak(holding(), 1h);
  auto other = on_leak([](const report&) {}, 1h);
  EXPECT_EQ(held.use_count(), 2);
  watch = std::move(other);
  EXPECT_EQ(held.use_count(), 1) << "while the object that was moved from lives on";
  EXPECT_TRUE(stray::leak::watch_runs());
  watch = on_leak(holding(), 1h);
  stray::leak::subscription& same = watch;
  watch = std::move(same);
  EXPECT_EQ(held.use_count(), 2) << "an assignment to itself ends nothing";
  watch = {};
  EXPECT_EQ(held.use_count(), 1);
  until_ended();
}

TEST(on_leak, refuses_nonsense) {
  EXPECT_THROW(static_cast<void>(on_leak({}, 1h)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(on_leak([](const report&) {}, 1h, {}, 0)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(on_leak([](const report&) {}, 1h, {}, 1.5)), std::invalid_argument);
}

TEST(watch, a_dear_look_stretches_the_interval) {
  EXPECT_EQ(earliest_next_ns(1000, 20'000'000, 0.01), 1000 + 2'000'000'000);
  EXPECT_EQ(earliest_next_ns(1000, 0, 0.01), 1000);
  EXPECT_EQ(earliest_next_ns(1000, 5, 1), 1005);
  EXPECT_GT(earliest_next_ns(1000, INT64_MAX, 1e-9), 1000) << "no overflow";
}

TEST(find, numbers_its_detections) {
  stray::go([] {});  // nothing is numbered before the first
  std::uint64_t first = stray::leak::find().generation(), second = stray::leak::find().generation();
  EXPECT_LT(first, second);
}

TEST(find, shares_one_detection) {
  constexpr int askers = 8;
  auto answers = stray::make_chan<std::uint64_t>(askers);
  std::uint64_t before = stray::leak::find().generation();
  std::atomic<bool> free{false}, busy{false};
  stray::go([&] {
    stray::leak::on_detector([&] {  // on the detector's thread
      busy = true;
      while (!free) std::this_thread::yield();
    });
  });
  while (!busy) stray::yield();  // its goroutine is one who asks, too
  for (int i = 0; i < askers; i++) stray::go([answers] { answers.send(stray::leak::find().generation()); });
  while (asking() < askers + 1) stray::yield();
  free = true;
  for (int i = 0; i < askers; i++) EXPECT_EQ(*answers.recv(), before + 1);
}

TEST(find, one_that_began_since_may_answer) {
  stray::go([] {});
  std::int64_t before = stray::base::now_ns();
  auto used = stray::leak::detect_since(stray::base::now_ns());
  EXPECT_EQ(stray::leak::detect_since(before), used) << "it began after the request was sent";
  auto later = stray::leak::detect_since(stray::base::now_ns());
  EXPECT_GT(later->generation, used->generation) << "an older one is no answer";
  EXPECT_EQ(stray::leak::detect_since(before), later);
  EXPECT_GT(stray::leak::detect()->generation, later->generation) << "who does not say when it was sent asks now";
  std::weak_ptr<const stray::leak::findings> kept = stray::leak::detect_since(before);
  while (!kept.expired()) std::this_thread::yield();  // not for long
}

TEST(find, is_kept_as_long_as_somebody_wants_it) {
  stray::go([] {});
  auto used = stray::leak::detect_since(stray::base::now_ns());
  stray::leak::keep_detection_until(stray::base::after_ns(60'000'000'000));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(stray::leak::kept_detection(), used);
  std::uint64_t another = stray::leak::find().generation();
  EXPECT_EQ(stray::leak::kept_detection()->generation, another) << "the next one takes its place";
  stray::leak::keep_detection_until(0);
  while (stray::leak::kept_detection() != nullptr) std::this_thread::sleep_for(std::chrono::milliseconds(150));
}

TEST(find, keeps_to_the_pause_budget) {
  until_blocked(leak_one());
  std::size_t known = stray::leak::find().total();
  leak_one();
  ASSERT_GT(stray::leak::predicted_pause_ns(), 0);
  report refused = stray::leak::find({.pause_budget = 1ns});
  EXPECT_EQ(refused.total(), known) << "who was proven before is known";
  EXPECT_FALSE(refused.complete());
  ASSERT_FALSE(refused.notes().empty());
  EXPECT_NE(refused.notes()[0].find("is predicted, more than the budget of"), std::string::npos) << refused.notes()[0];
  while (stray::leak::find({.pause_budget = 10s}).total() != known + 1) stray::yield();
}

TEST(is_wanted, never_too_young) {
  stray::leak::finding f;
  f.age_ns = std::chrono::nanoseconds(100ms).count();
  EXPECT_TRUE(is_wanted(f, {}));
  EXPECT_TRUE(is_wanted(f, {.min_age = 90ms}));
  EXPECT_FALSE(is_wanted(f, {.min_age = 91ms})) << "it may be 10 ms younger than it looks";
  f.thread = true;
  EXPECT_TRUE(is_wanted(f, {.min_age = 100ms}));
  EXPECT_FALSE(is_wanted(f, {.min_age = 100ms + 1ns}));
  f.tier = stray::leak::tier::likely;
  EXPECT_FALSE(is_wanted(f, {}));
}

}  // namespace
