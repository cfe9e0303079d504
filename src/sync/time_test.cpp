// Timers, tickers and after_func against Go 1.23's semantics. Time is injected: nothing here waits for a clock.
#include <stray/time.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "runtime/test_waits.h"
#include "runtime/timer.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using testing::fake_clock;

bool empty(const recv_chan<time_point>& ch) {
  std::optional<time_point> v;
  return ch.try_recv(v) == chan_status::would_block;
}
std::optional<time_point> taken(const recv_chan<time_point>& ch) {
  std::optional<time_point> v;
  ch.try_recv(v);
  return v;
}

TEST(timer, sends_the_time_once_it_has_passed) {
  fake_clock clock;
  time_point start = clock.now();
  timer t(10s);
  EXPECT_TRUE(empty(t.channel()));
  clock.advance(9s);
  EXPECT_TRUE(empty(t.channel()));
  clock.advance(5s);
  EXPECT_EQ(taken(t.channel()), start + 10s);
  clock.advance(100s);
  EXPECT_TRUE(empty(t.channel()));
  EXPECT_EQ(t.channel().cap(), 1u);
}

TEST(timer, of_zero_or_less_fires_at_once) {
  fake_clock clock;
  for (auto d : {0s, -1s, -3600s}) {
    timer t(d);
    clock.advance(0s);
    EXPECT_EQ(taken(t.channel()), clock.now());
  }
}

TEST(timer, of_the_longest_time_never_fires_and_does_not_wrap) {
  fake_clock clock;
  timer t(std::chrono::hours::max());
  clock.advance(24h * 365 * 100);
  EXPECT_TRUE(empty(t.channel()));
  EXPECT_TRUE(t.stop());
}

TEST(timer, stop_says_whether_it_prevented_the_firing) {
  fake_clock clock;
  timer t(10s);
  EXPECT_TRUE(t.stop());
  EXPECT_FALSE(t.stop());
  clock.advance(20s);
  EXPECT_TRUE(empty(t.channel()));
  timer fired(10s);
  clock.advance(10s);
  EXPECT_TRUE(taken(fired.channel()).has_value());
  EXPECT_FALSE(fired.stop());
}

// A value that nobody has received belongs to the time before: it is taken back.
TEST(timer, stop_and_reset_leave_no_stale_value) {
  fake_clock clock;
  timer t(10s);
  clock.advance(10s);
  EXPECT_EQ(t.channel().len(), 1u);
  EXPECT_TRUE(t.stop());
  EXPECT_TRUE(empty(t.channel()));
  EXPECT_FALSE(t.reset(10s));
  clock.advance(10s);
  EXPECT_TRUE(t.reset(5s));
  EXPECT_TRUE(empty(t.channel()));
  clock.advance(5s);
  EXPECT_EQ(taken(t.channel()), clock.now());
}

TEST(timer, reset_moves_it_both_ways) {
  fake_clock clock;
  time_point start = clock.now();
  timer t(10s);
  EXPECT_TRUE(t.reset(100s));
  clock.advance(50s);
  EXPECT_TRUE(empty(t.channel()));
  EXPECT_TRUE(t.reset(1s));
  clock.advance(1s);
  EXPECT_EQ(taken(t.channel()), start + 51s);
  EXPECT_FALSE(t.reset(2s));
  clock.advance(2s);
  EXPECT_EQ(taken(t.channel()), start + 53s);
}

TEST(timer, uninitialized_panics_with_gos_words) {
  timer t;
  EXPECT_FALSE(t);
  EXPECT_EQ(panic_of([&] { t.stop(); }), "time: Stop called on uninitialized Timer");
  EXPECT_EQ(panic_of([&] { t.reset(1s); }), "time: Reset called on uninitialized Timer");
  EXPECT_FALSE(t.channel());
  timer moved(1h), there(std::move(moved));
  EXPECT_EQ(panic_of([&] { moved.stop(); }), "time: Stop called on uninitialized Timer");
  EXPECT_TRUE(there.stop());
}

TEST(timer, copies_are_the_same_timer_and_dropping_it_does_not_stop_it) {
  fake_clock clock;
  recv_chan<time_point> ch;
  {
    timer t(10s), copy = t;
    EXPECT_TRUE(t == copy);
    EXPECT_TRUE(copy.reset(20s));
    ch = t.channel();
    EXPECT_TRUE(ch == copy.channel());
  }
  clock.advance(20s);
  EXPECT_EQ(taken(ch), clock.now());
}

TEST(timer, wakes_goroutines_and_threads_in_order) {
  fake_clock clock;
  std::vector<int> order;
  mutex lock;
  auto wait_for = [&](int i) {
    recv_chan<time_point> ch = after(std::chrono::seconds(i));
    return [&, ch, i] {
      ch.recv();
      std::lock_guard hold(lock);
      order.push_back(i);
    };
  };
  go(wait_for(3));
  std::thread thread(wait_for(2));
  go(wait_for(1));
  testing::until_parked(2);
  for (std::size_t i = 1; i <= 3; i++) {
    clock.advance(1s);
    until([&] {
      std::lock_guard hold(lock);
      return order.size() == i;
    });
  }
  thread.join();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  all_ended();
}

TEST(after, delivers_one_value) {
  fake_clock clock;
  recv_chan<time_point> ch = after(5s);
  clock.advance(4s);
  EXPECT_TRUE(empty(ch));
  clock.advance(1s);
  EXPECT_EQ(taken(ch), clock.now());
  clock.advance(100s);
  EXPECT_TRUE(empty(ch));
}

TEST(after, does_not_pile_up) {
  fake_clock clock;
  std::vector<recv_chan<time_point>> kept;
  for (int i = 0; i < 10000; i++) {
    auto ch = after(1h);
    if (i % 100 == 0) kept.push_back(ch);
  }
  EXPECT_LT(runtime::timers().size, 500u);
  clock.advance(1h);
  for (const auto& ch : kept) EXPECT_EQ(ch.len(), 1u);
}

TEST(after, in_a_select_beside_a_time_out) {
  fake_clock clock;
  auto never = make_chan<int>();
  std::atomic<std::size_t> chosen{99};
  go([&] { chosen = select(on_recv(never), on_recv(after(2s)), on_timeout(3s)); });
  testing::until_pending(2);
  clock.advance(2s);
  until([&] { return chosen != 99; });
  EXPECT_EQ(chosen, 1u);
  go([&] { chosen = select(on_recv(never), on_recv(after(4s)), on_timeout(3s)); });
  testing::until_pending(2);
  chosen = 99;
  clock.advance(3s);
  until([&] { return chosen != 99; });
  EXPECT_EQ(chosen, 2u);
  clock.advance(1s);
  all_ended();
}

TEST(ticker, ticks_at_every_period_and_drops_what_is_not_taken) {
  fake_clock clock;
  time_point start = clock.now();
  ticker t(10s);
  for (int i = 1; i <= 5; i++) {
    clock.advance(10s);
    EXPECT_EQ(taken(t.channel()), start + i * 10s);
    EXPECT_TRUE(empty(t.channel()));
  }
  clock.advance(100s);  // ten ticks, one place
  EXPECT_EQ(taken(t.channel()), start + 60s);
  EXPECT_TRUE(empty(t.channel()));
  clock.advance(10s);
  EXPECT_EQ(taken(t.channel()), start + 160s);
}

TEST(ticker, stop_leaves_the_channel_open_and_empty) {
  fake_clock clock;
  ticker t(10s);
  clock.advance(10s);
  t.stop();
  EXPECT_TRUE(empty(t.channel()));
  clock.advance(100s);
  EXPECT_TRUE(empty(t.channel()));
  t.stop();
}

TEST(ticker, reset_changes_the_period_and_starts_it_again) {
  fake_clock clock;
  ticker t(10s);
  clock.advance(10s);
  t.reset(3s);
  EXPECT_TRUE(empty(t.channel()));
  clock.advance(3s);
  EXPECT_TRUE(taken(t.channel()).has_value());
  t.stop();
  t.reset(7s);
  clock.advance(6s);
  EXPECT_TRUE(empty(t.channel()));
  clock.advance(1s);
  EXPECT_TRUE(taken(t.channel()).has_value());
  clock.advance(7s);
  EXPECT_TRUE(taken(t.channel()).has_value());
}

TEST(ticker, is_stopped_by_its_last_handle) {
  fake_clock clock;
  recv_chan<time_point> ch;
  {
    ticker t(10s);
    ch = t.channel();
    ticker copy = t;
    t = {};
    clock.advance(10s);
    EXPECT_TRUE(taken(ch).has_value());
  }
  clock.advance(100s);
  EXPECT_TRUE(empty(ch));
}

TEST(ticker, panics_with_gos_words) {
  for (auto d : {0s, -1s}) {
    EXPECT_EQ(panic_of([&] { ticker t(d); }), "non-positive interval for NewTicker");
    ticker t(1h);
    EXPECT_EQ(panic_of([&] { t.reset(d); }), "non-positive interval for Ticker.Reset");
  }
  ticker none;
  none.stop();
  EXPECT_EQ(panic_of([&] { none.reset(1s); }), "time: Reset called on uninitialized Ticker");
  EXPECT_FALSE(none.channel());
}

TEST(after_func, runs_in_its_own_goroutine) {
  fake_clock clock;
  std::atomic<std::uint64_t> id{0};
  timer t = after_func(5s, [&] { id = goroutine_id(); });
  EXPECT_FALSE(t.channel());
  clock.advance(4s);
  EXPECT_EQ(id, 0u);
  clock.advance(1s);
  until([&] { return id != 0; });
  EXPECT_FALSE(t.stop());
  all_ended();
}

TEST(after_func, stop_prevents_it) {
  fake_clock clock;
  std::atomic<int> runs{0};
  timer t = after_func(5s, [&] { runs++; });
  EXPECT_TRUE(t.stop());
  EXPECT_FALSE(t.stop());
  clock.advance(10s);
  all_ended();
  EXPECT_EQ(runs, 0);
}

TEST(after_func, reset_runs_it_again) {
  fake_clock clock;
  std::atomic<int> runs{0};
  timer t = after_func(5s, [&] { runs++; });
  EXPECT_TRUE(t.reset(1s));
  for (int i = 1; i <= 3; i++) {
    clock.advance(1s);
    until([&] { return runs == i; });
    EXPECT_FALSE(t.reset(1s));
  }
  EXPECT_TRUE(t.stop());
  clock.advance(1s);
  all_ended();
  EXPECT_EQ(runs, 3);
}

TEST(after_func, may_use_its_own_timer) {
  fake_clock clock;
  std::atomic<int> runs{0};
  auto self = std::make_shared<timer>();
  *self = after_func(1s, [&runs, weak = std::weak_ptr(self)] {
    if (++runs < 3) weak.lock()->reset(1s);
  });
  for (int i = 1; i <= 3; i++) {
    clock.advance(1s);
    until([&] { return runs == i; });
    all_ended();
  }
  clock.advance(1s);
  all_ended();
  EXPECT_EQ(runs, 3);
}

// Move-only, over-aligned and large functions; destroyed once, after the run, or with the last handle.
template <class T>
struct counted {
  std::shared_ptr<int> alive = std::make_shared<int>(1);
  alignas(T) T payload{};
};
struct alignas(64) wide {
  unsigned char bytes[192];
};
TEST(after_func, destroys_its_function_once) {
  fake_clock clock;
  for (bool keeps_handle : {false, true}) {
    for (bool fires : {false, true}) {
      counted<wide> c;
      std::weak_ptr<int> alive = c.alive;
      std::atomic<bool> aligned{true}, ran{false};
      timer t = after_func(1s, [c = std::move(c), p = std::make_unique<int>(7), &aligned, &ran] {
        aligned = reinterpret_cast<std::uintptr_t>(&c.payload) % 64 == 0 && *p == 7;
        ran = true;
      });
      c.alive.reset();
      EXPECT_FALSE(alive.expired());
      if (!keeps_handle && fires) t = {};
      if (!fires) {
        EXPECT_TRUE(t.stop());
      }
      clock.advance(1s);
      until([&] { return ran == fires; });
      all_ended();
      EXPECT_TRUE(aligned);
      if (keeps_handle) {
        EXPECT_FALSE(alive.expired());
      }
      t = {};
      EXPECT_TRUE(alive.expired());
    }
  }
}

TEST(after_func, copies_that_throw_start_nothing) {
  struct thrower {
    thrower() = default;
    thrower(const thrower&) { throw std::runtime_error("copy"); }
    void operator()() const {}
  } f;
  fake_clock clock;
  EXPECT_THROW(after_func(1s, f), std::runtime_error);
  clock.advance(1s);
  EXPECT_EQ(num_goroutine(), 0u);
}

TEST(fake_clock, holds_sleeps_and_time_outs_of_goroutines_and_threads) {
  fake_clock clock;
  std::atomic<int> woken{0};
  auto sleeper = [&] {
    sleep_for(10s);
    woken++;
  };
  go(sleeper);
  std::thread thread(sleeper);
  std::thread timed_out([&] {
    mutex m;
    condition_variable changed;
    std::unique_lock lock(m);
    EXPECT_FALSE(changed.wait_for(lock, 10s, [] { return false; }));
    woken++;
  });
  testing::until_pending(3);
  clock.advance(9s);
  EXPECT_EQ(woken, 0);
  clock.advance(1s);
  thread.join();
  timed_out.join();
  all_ended();
  EXPECT_EQ(woken, 3);
}

TEST(fake_clock, its_end_leaves_what_is_pending_its_time) {
  std::atomic<int> woken{0};
  std::thread thread;
  timer far;
  {
    fake_clock clock;
    clock.advance(1000h);
    far = timer(1h);
    go([&] { sleep_for(2ms), woken++; });
    thread = std::thread([&] { sleep_for(2ms), woken++; });
    testing::until_pending(3);
    EXPECT_EQ(woken, 0);
  }
  thread.join();
  all_ended();
  EXPECT_EQ(woken, 2);
  EXPECT_TRUE(far.stop());
}

TEST(fake_clock, holds_what_was_pending_before) {
  timer before(1h);
  fake_clock clock;
  clock.advance(59min);
  EXPECT_TRUE(empty(before.channel()));
  clock.advance(1min);
  EXPECT_FALSE(empty(before.channel()));
}

TEST(fake_clock, is_the_only_one) {
  fake_clock clock;
  EXPECT_THROW(fake_clock(), panic);
}

// Against the real clock.
TEST(timer, on_the_real_clock) {
  auto begin = std::chrono::steady_clock::now();
  EXPECT_GE(*after(3ms).recv(), begin + 3ms);
  timer t(1h);
  EXPECT_TRUE(t.reset(1ms));
  EXPECT_GE(*t.channel().recv(), begin + 4ms);
  ticker tick(1ms);
  for (int i = 0; i < 3; i++) tick.channel().recv();
  std::atomic<bool> ran{false};
  after_func(1ms, [&] { ran = true; });
  until([&] { return ran.load(); });
  all_ended();
}

// Seeded: threads and goroutines stop and reset the same timers while time moves; each value received is of the last setting.
TEST(timer, stress_of_stop_and_reset_against_firing) {
  fake_clock clock;
  constexpr int n = 8;
  std::vector<timer> timers;
  for (int i = 0; i < n; i++) timers.emplace_back(1s);
  std::atomic<bool> done{false};
  std::atomic<int> stale{0}, received{0}, left{3};
  auto body = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int step = 0; step < 3000; step++) {
      timer& t = timers[seed * 2 + random() % 2];  // each has its own two: after a stop nothing may come
      switch (random() % 3) {
        case 0:
          t.stop();
          for (int k = 0; k < 3; k++) stale += !empty(t.channel());
          break;
        case 1: {
          time_point set = clock.now();
          t.reset(std::chrono::milliseconds(random() % 5 + 1));
          if (std::optional<time_point> v = taken(t.channel())) {
            stale += *v <= set;
            received++;
          }
          break;
        }
        default:
          received += taken(t.channel()).has_value();
      }
      if (step % 16 == 0) yield();
    }
    left--;
  };
  go(body, 0);
  go(body, 1);
  std::thread thread(body, 2);
  while (left != 0) {
    clock.advance(1ms);
    yield();
  }
  thread.join();
  all_ended();
  EXPECT_EQ(stale, 0);
}

// after_func against stop: it runs iff stop said that it did not prevent it.
TEST(after_func, stress_of_stop_against_firing) {
  fake_clock clock;
  std::atomic<int> ran{0};
  int prevented = 0;
  constexpr int n = 3000;
  std::atomic<bool> done{false};
  std::thread time([&] {
    while (!done) clock.advance(1us);
  });
  for (int i = 0; i < n; i++) {
    timer t = after_func(std::chrono::nanoseconds(i % 3000), [&] { ran++; });
    prevented += t.stop();
  }
  done = true;
  time.join();
  all_ended();
  EXPECT_EQ(ran + prevented, n);
}

}  // namespace
}  // namespace stray
