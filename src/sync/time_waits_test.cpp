// Timers with receivers that wait, many timers beside each other, and the ends of the range of time. Time is injected.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include <stray/condition_variable.hpp>
#include <stray/context.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/select.hpp>
#include <stray/semaphore.hpp>
#include <stray/testing/control.hpp>
#include <stray/time.hpp>
#include "runtime/test_waits.h"
#include "runtime/timer.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using testing::fake_clock;
using testing::until_parked;

std::int64_t ns_of(time_point t) { return t.time_since_epoch() / 1ns; }

// A goroutine blocks on the channel while the timer or ticker is moved, stopped and moved again.
template <class Timer>
void follow_resets(const Timer& t, fake_clock& clock) {
  std::atomic<std::int64_t> got{0};
  go([&] { got = ns_of(*t.channel().recv()); });
  until_parked(1);
  clock.advance(9s);
  t.reset(100s);
  clock.advance(99s);
  t.stop();
  clock.advance(1000s);
  t.reset(20s);
  clock.advance(10s);
  t.reset(1s);
  EXPECT_EQ(got, 0);
  until_parked(1);
  clock.advance(1s);
  until([&] { return got != 0; });
  EXPECT_EQ(got, ns_of(clock.now()));
  EXPECT_EQ(t.channel().len(), 0u);
  all_ended();
}
TEST(time_waits, a_receiver_follows_the_resets_of_its_timer) {
  fake_clock clock;
  follow_resets(timer(10s), clock);
  follow_resets(ticker(10s), clock);
}

template <class Timer>
void serve_one_select(const Timer& t, fake_clock& clock) {
  auto quit = make_chan<void>();
  std::atomic<int> fired{0}, left{0};
  for (int i = 0; i < 2; i++) {
    go([&] {
      if (select(on_recv(t.channel()), on_recv(quit)) == 0) {
        fired++;
      } else {
        left++;
      }
    });
  }
  until_parked(2);
  t.reset(1s);
  clock.advance(1s);
  until([&] { return fired == 1; });
  t.stop();
  EXPECT_EQ(left, 0);
  quit.close();
  all_ended();
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(left, 1);
}
TEST(time_waits, one_of_two_selects_gets_the_value) {
  fake_clock clock;
  serve_one_select(timer(1h), clock);
  serve_one_select(ticker(1h), clock);
}

TEST(time_waits, many_fire_in_the_order_of_their_times) {
  for (unsigned seed = 1; seed <= 10; seed++) {
    SCOPED_TRACE(seed);
    fake_clock clock;
    time_point start = clock.now();
    std::mt19937 random(seed);
    std::vector<std::chrono::seconds> due;
    std::vector<recv_chan<time_point>> channels;
    for (int i = 0; i < 200; i++) {
      due.emplace_back(random() % 40);
      channels.push_back(after(due.back()));
    }
    for (auto now = 0s; now < 40s; now += 1s) {
      clock.advance(now == 0s ? 0s : 1s);
      for (std::size_t i = 0; i < due.size(); i++) {
        std::optional<time_point> v;
        channels[i].try_recv(v);
        EXPECT_EQ(v.has_value(), due[i] == now);
        if (v) {
          EXPECT_EQ(*v, start + now);
        }
      }
    }
  }
}

// On this thread and on a goroutine, while time stands still.
template <class F>
void returns_at_once(F f) {
  fake_clock clock;
  f();
  go(f);
  all_ended();
}
TEST(time_waits, select_with_a_timeout_of_nothing_does_not_wait) {
  returns_at_once([] {
    for (auto d : {0s, -1s}) EXPECT_EQ(select(on_recv(make_chan<int>()), on_timeout(d)), 1u);
    EXPECT_EQ(select(on_timeout(0s)), 0u);
    std::vector<select_case> cases;
    cases.push_back(on_timeout(0s));
    EXPECT_EQ(select(std::span<select_case>(cases)), 0u);
  });
}
TEST(time_waits, condition_variable_for_nothing_does_not_wait) {
  returns_at_once([] {
    mutex m;
    condition_variable cv;
    std::unique_lock lock(m);
    for (auto d : {0s, -1s}) EXPECT_EQ(cv.wait_for(lock, d), std::cv_status::timeout);
    EXPECT_FALSE(cv.wait_for(lock, 0s, [] { return false; }));
    EXPECT_FALSE(m.try_lock());
    cv.notify_all();  // nobody is left in the queue
  });
}
TEST(time_waits, sleep_until_what_is_past_does_not_wait) {
  returns_at_once([] {
    sleep_until(detail::timer_after(0));
    sleep_until(detail::timer_after(0) - 1h);
    sleep_until(time_point::min());
  });
}
TEST(time_waits, semaphore_for_nothing_does_not_wait) {
  returns_at_once([] {
    semaphore s(0);
    for (auto d : {0s, -1s}) EXPECT_FALSE(s.try_acquire_for(d));
  });
}

TEST(time_waits, of_the_most_negative_time_are_over_at_once) {
  fake_clock clock;
  auto check = [&](auto d) {
    sleep_for(d);
    recv_chan<time_point> ch = after(d);
    timer t(1h);
    EXPECT_TRUE(t.reset(d));
    std::atomic<bool> ran{false};
    after_func(d, [&] { ran = true; });
    EXPECT_TRUE(with_timeout(background(), d).ctx.err());
    EXPECT_EQ(select(on_recv(make_chan<int>()), on_timeout(d)), 1u);
    clock.advance(0s);
    EXPECT_EQ(ch.recv(), clock.now());
    EXPECT_EQ(t.channel().recv(), clock.now());
    until([&] { return ran.load(); });
    all_ended();
  };
  check(std::chrono::nanoseconds::min());
  check(std::chrono::hours::min());
  check(std::chrono::duration<double>(-1e300));
  sleep_until(time_point::min());
  EXPECT_TRUE(with_deadline(background(), time_point::min()).ctx.err());
}

TEST(time_waits, a_ticker_of_the_longest_period_does_not_wrap) {
  fake_clock clock;
  ticker t(std::chrono::hours::max());
  clock.advance(24h * 365 * 146);
  EXPECT_EQ(t.channel().len(), 0u);
  clock.advance(24h * 365);
  EXPECT_EQ(t.channel().len(), 1u);
  t.channel().recv();
  recv_chan<time_point> other = after(5s);  // the next tick is beyond the range: it holds up nobody
  clock.advance(5s);
  EXPECT_EQ(other.len(), 1u);
  EXPECT_EQ(t.channel().len(), 0u);
}

TEST(time_waits, dropped_timers_and_tickers_do_not_pile_up) {
  fake_clock clock;
  for (int i = 0; i < 10000; i++) {
    timer dropped(1h);
    timer stopped(1h);
    stopped.stop();
    ticker ticking(1h);
    after_func(1h, [] {}).stop();
  }
  EXPECT_LT(runtime::timers().size, 500u);
}

}  // namespace
}  // namespace stray
