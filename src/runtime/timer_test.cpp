// The timer heap fires exactly what is due, and only the wait that armed it. Time is injected: the deadlines lie an hour ahead, where no
// worker looks. The tasks are records of this test that are still parking, so that firing one queues nothing.
#include "runtime/timer.h"
#include "runtime/test_waits.h"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <stray/go.hpp>
#include "base/clock.h"
#include "runtime/park.h"

namespace stray::runtime {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

std::int64_t far_away() { return base::now_ns() + 3'600'000'000'000; }
void prepare(task& t) {
  t.id = 1;
  prepare_wait(&t, wait_reason::sleep, nullptr, 0);
}
bool fired(const task& t) { return t.current_state() == state::runnable_early; }

TEST(timer_heap, is_empty_at_first) { EXPECT_EQ(next_deadline(), no_deadline); }

TEST(timer_heap, fires_what_is_due) {
  std::int64_t base = far_away();
  task a, b;
  prepare(a), prepare(b);
  arm_timer(&a, base + 20);
  arm_timer(&b, base + 10);
  EXPECT_EQ(next_deadline(), base + 10);
  EXPECT_FALSE(run_timers(base + 9));
  EXPECT_TRUE(run_timers(base + 10));
  EXPECT_TRUE(fired(b));
  EXPECT_FALSE(fired(a));
  EXPECT_EQ(b.timer.place, 0u);
  EXPECT_EQ(next_deadline(), base + 20);
  disarm_timer(&a);
  disarm_timer(&a);
  EXPECT_EQ(next_deadline(), no_deadline);
  EXPECT_FALSE(run_timers(base + 1000));
  EXPECT_FALSE(fired(a));
}

TEST(timer_heap, does_not_fire_another_wait_of_the_same_task) {
  std::int64_t base = far_away();
  task a;
  prepare(a);
  arm_timer(&a, base);
  a.word.store(word::with(a.word.load(), state::running));  // woken by something else, and waits again before it disarms
  prepare(a);
  EXPECT_FALSE(run_timers(base));
  EXPECT_EQ(a.current_state(), state::parking);
  EXPECT_EQ(next_deadline(), no_deadline);
}

TEST(timer_heap, does_not_fire_a_claimed_task) {
  std::int64_t base = far_away();
  task a;
  prepare(a);
  a.fired = &a.node;
  arm_timer(&a, base);
  ASSERT_TRUE(try_claim(&a));
  EXPECT_FALSE(run_timers(base));
  EXPECT_EQ(a.fired, &a.node);
  disarm_timer(&a);
}

TEST(timer_heap, fires_more_than_one_batch_at_once) {
  std::int64_t base = far_away();
  std::vector<task> all(1000);
  for (task& t : all) {
    prepare(t);
    arm_timer(&t, base + 5);
  }
  EXPECT_TRUE(run_timers(base + 5));
  EXPECT_TRUE(std::all_of(all.begin(), all.end(), fired));
  EXPECT_EQ(next_deadline(), no_deadline);
}

TEST(timer_heap, agrees_with_a_reference_in_any_order) {
  for (std::uint32_t seed = 1; seed <= 20; seed++) {
    std::mt19937 random(seed);
    std::int64_t base = far_away(), now = 0;
    std::vector<task> all(200);
    std::set<std::pair<std::int64_t, std::size_t>> armed;  // the reference
    std::map<std::size_t, std::int64_t> when;
    for (int step = 0; step < 3000; step++) {
      std::size_t i = random() % all.size();
      if (random() % 20 == 0) {
        now += random() % 50;
        bool any = run_timers(base + now);
        bool expected = false;
        while (!armed.empty() && armed.begin()->first <= now) {
          std::size_t due = armed.begin()->second;
          ASSERT_TRUE(fired(all[due])) << "seed " << seed;
          all[due].word.store(word::with(all[due].word.load(), state::running));
          armed.erase(armed.begin());
          when.erase(due);
          expected = true;
        }
        ASSERT_EQ(any, expected) << "seed " << seed;
      } else if (when.contains(i)) {
        disarm_timer(&all[i]);
        armed.erase({when[i], i});
        when.erase(i);
      } else {
        prepare(all[i]);
        when[i] = now + 1 + random() % 300;
        armed.insert({when[i], i});
        arm_timer(&all[i], base + when[i]);
      }
      ASSERT_EQ(next_deadline(), armed.empty() ? no_deadline : base + armed.begin()->first) << "seed " << seed;
      for (const auto& [k, at] : when) ASSERT_FALSE(fired(all[k])) << "seed " << seed;
    }
    for (const auto& [k, at] : when) disarm_timer(&all[k]);
    ASSERT_EQ(next_deadline(), no_deadline);
  }
}

// --- callbacks ------------------------------------------------------------------------------------------------------------------------

struct call : timer_entry {
  std::atomic<int> fired{0}, dropped{0};  // dropped: the callback came too late
  std::int64_t at = 0;
  call() {
    fire = [](timer_entry* e, std::uint64_t s, std::int64_t now_ns) noexcept {
      auto* self = static_cast<call*>(e);
      if (take_due(e, s)) {
        self->at = now_ns;
        self->fired++;
      } else {
        self->dropped++;
      }
    };
  }
};
// What the snapshot would see.
bool listed(const timer_entry* e) {
  const timer_table& t = timers();
  for (std::uint32_t i = 1; i <= t.size; i++) {
    if (t.slots.load()[i].entry == e) return true;
  }
  for (const firing_batch* b = t.firing; b != nullptr; b = b->next) {
    for (const auto& at : b->entry) {
      if (at == e) return true;
    }
  }
  return t.moving == e;
}

TEST(timer_callbacks, fire_in_order_and_once) {
  std::int64_t base = far_away();
  call a, b, c;
  arm_callback(&a, base + 30);
  arm_callback(&b, base + 10);
  arm_callback(&c, base + 20);
  EXPECT_TRUE(listed(&a) && listed(&b) && listed(&c));
  EXPECT_TRUE(run_timers(base + 20));
  EXPECT_EQ(a.fired, 0);
  EXPECT_EQ(b.fired, 1);
  EXPECT_EQ(c.fired, 1);
  EXPECT_TRUE(listed(&a) && !listed(&b) && !listed(&c));
  EXPECT_EQ(next_deadline(), base + 30);
  EXPECT_EQ(stop_callback(&b), stopped::idle);
  EXPECT_EQ(stop_callback(&a), stopped::removed);
  EXPECT_FALSE(listed(&a));
  EXPECT_FALSE(run_timers(base + 1000));
  EXPECT_EQ(next_deadline(), no_deadline);
}

TEST(timer_callbacks, many_at_once_beside_waits) {
  std::int64_t base = far_away();
  std::vector<call> calls(500);
  std::vector<task> waits(500);
  for (std::size_t i = 0; i < calls.size(); i++) {
    arm_callback(&calls[i], base + static_cast<std::int64_t>(i) % 7);
    prepare(waits[i]);
    arm_timer(&waits[i], base + static_cast<std::int64_t>(i) % 5);
  }
  EXPECT_TRUE(run_timers(base + 7));
  EXPECT_TRUE(std::all_of(calls.begin(), calls.end(), [](const call& c) { return c.fired == 1; }));
  EXPECT_TRUE(std::all_of(waits.begin(), waits.end(), fired));
  EXPECT_EQ(timers().firing, nullptr);
  EXPECT_EQ(next_deadline(), no_deadline);
}

// One that was popped is listed until its callback has returned; a stop in between prevents it, and what is armed anew is another arming.
struct stopper : timer_entry {
  call* victim = nullptr;
  bool rearm = false, saw_itself = false, saw_victim = false;
  stopped was = stopped::idle;
  stopper() {
    fire = [](timer_entry* e, std::uint64_t s, std::int64_t now_ns) noexcept {
      auto* self = static_cast<stopper*>(e);
      EXPECT_TRUE(take_due(e, s));
      self->saw_itself = listed(e);
      self->saw_victim = listed(self->victim);
      self->was = stop_callback(self->victim);
      if (self->rearm) arm_callback(self->victim, now_ns + 100);
    };
  }
};
TEST(timer_callbacks, are_listed_while_they_fire_and_may_be_stopped_until_then) {
  for (bool rearm : {false, true}) {
    std::int64_t base = far_away();
    call victim;
    stopper first;
    first.victim = &victim;
    first.rearm = rearm;
    arm_callback(&first, base + 1);
    arm_callback(&victim, base + 2);
    run_timers(base + 5);
    EXPECT_TRUE(first.saw_itself && first.saw_victim);
    EXPECT_EQ(first.was, stopped::prevented);
    EXPECT_EQ(victim.fired, 0);
    EXPECT_EQ(victim.dropped, 1);
    EXPECT_EQ(listed(&victim), rearm);
    run_timers(base + 105);
    EXPECT_EQ(victim.fired, rearm ? 1 : 0);
    EXPECT_EQ(next_deadline(), no_deadline);
  }
}

TEST(timer_callbacks, agree_with_a_reference_in_any_order) {
  for (std::uint32_t seed = 1; seed <= 20; seed++) {
    std::mt19937 random(seed);
    std::int64_t base = far_away(), now = 0;
    std::vector<call> all(200);
    std::map<std::size_t, std::int64_t> when;
    for (int step = 0; step < 3000; step++) {
      std::size_t i = random() % all.size();
      if (random() % 20 == 0) {
        now += random() % 50;
        run_timers(base + now);
        for (auto it = when.begin(); it != when.end();) {
          if (it->second > now) {
            it++;
            continue;
          }
          ASSERT_EQ(all[it->first].fired.exchange(0), 1) << "seed " << seed;
          it = when.erase(it);
        }
      } else if (when.contains(i)) {
        ASSERT_EQ(stop_callback(&all[i]), stopped::removed);
        when.erase(i);
      } else {
        when[i] = now + 1 + random() % 300;
        arm_callback(&all[i], base + when[i]);
      }
      for (const auto& [k, at] : when) ASSERT_TRUE(all[k].fired == 0 && (step % 50 != 0 || listed(&all[k]))) << "seed " << seed;
    }
    for (const auto& [k, at] : when) stop_callback(&all[k]);
    ASSERT_EQ(next_deadline(), no_deadline);
  }
}

// Armed once, then stopped while another thread runs what is due: it fires, or stop says that it will not, and each reference comes back once.
TEST(timer_callbacks, fire_or_are_stopped_but_not_both) {
  std::int64_t base = far_away();
  std::atomic<bool> done{false};
  std::atomic<std::int64_t> time{0};
  std::thread runner([&] {
    while (!done) run_timers(base + time);
  });
  std::mt19937 random(1);
  for (int round = 0; round < 200; round++) {
    std::vector<call> all(20);
    std::vector<stopped> was(20);
    for (call& c : all) arm_callback(&c, base + time + 1 + random() % 2);
    time++;
    for (std::size_t i = 0; i < all.size(); i++) was[i] = stop_callback(&all[i]);
    for (std::size_t i = 0; i < all.size(); i++) {
      if (was[i] == stopped::removed) {
        ASSERT_EQ(all[i].fired + all[i].dropped, 0);
        continue;
      }
      while (all[i].fired + all[i].dropped == 0) std::this_thread::yield();
      ASSERT_EQ(all[i].fired, was[i] == stopped::idle ? 1 : 0);
    }
    while (timers().firing != nullptr) std::this_thread::yield();
    time++;
  }
  done = true;
  runner.join();
}

TEST(timer_heap, is_used_by_many_threads) {
  std::int64_t base = far_away();
  std::vector<std::thread> threads;
  for (unsigned me = 0; me < 4; me++) {
    threads.emplace_back([base, me] {
      std::mt19937 random(me);
      std::vector<task> mine(50);
      std::vector<std::size_t> order(50);
      std::iota(order.begin(), order.end(), 0);
      for (int round = 0; round < 40; round++) {
        for (task& t : mine) {
          prepare(t);
          arm_timer(&t, base + random() % 1000);
        }
        std::shuffle(order.begin(), order.end(), random);
        for (std::size_t i : order) disarm_timer(&mine[i]);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(next_deadline(), no_deadline);
}

// The public side.
TEST(sleep, lasts_at_least_its_time_on_a_thread_and_on_a_goroutine) {
  auto before = steady_clock::now();
  sleep_for(5ms);
  EXPECT_GE(steady_clock::now() - before, 5ms);
  std::atomic<std::int64_t> lasted{0};
  go([&] {
    auto began = steady_clock::now();
    sleep_for(5ms);
    lasted = (steady_clock::now() - began) / 1ns;
  });
  while (lasted.load() == 0) yield();
  EXPECT_GE(lasted.load(), 5'000'000);
  all_ended();
}

TEST(sleep, of_nothing_or_of_the_past_returns) {
  sleep_for(0ms);
  sleep_for(-1h);
  sleep_until(steady_clock::now() - 1h);
  std::atomic<bool> done{false};
  go([&] {
    sleep_for(0ms);
    sleep_for(-1h);
    sleep_until(steady_clock::now() - 1h);
    done = true;
  });
  while (!done.load()) yield();
  all_ended();
}

TEST(sleep, of_many_goroutines_ends_for_each_in_its_time) {
  constexpr int n = 500;
  std::atomic<int> ended{0}, early{0};
  for (int i = 0; i < n; i++) {
    go([&, i] {
      auto d = std::chrono::microseconds((i * 7919) % 20000);
      auto began = steady_clock::now();
      sleep_for(d);
      if (steady_clock::now() - began < d) early++;
      ended++;
    });
  }
  while (ended.load() != n) yield();
  EXPECT_EQ(early, 0);
  EXPECT_EQ(next_deadline(), no_deadline);
  all_ended();
}

// The longest sleep of the type must not wrap round into the past.
TEST(sleep, for_ever_does_not_return) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto for_ever = [] {
    std::atomic<int> asleep{0}, woken{0};
    go([&] { asleep++, sleep_for(steady_clock::duration::max()), woken++; });
    go([&] { asleep++, sleep_until(steady_clock::time_point::max()), woken++; });
    std::atomic<bool> later{false};
    while (asleep.load() != 2) yield();
    go([&] { sleep_for(20ms), later = true; });
    while (!later.load()) yield();
    std::_Exit(woken.load());
  };
  EXPECT_EXIT(for_ever(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace stray::runtime
