// Every primitive under load, at 1, 2, 4 and 8 workers: sums that must add up, values that must be destroyed, waits that must end.
//
// About ten seconds by default; STRAY_TEST_LONG=1 does twenty times the rounds. A hang is a failure: ctest has the time limit.
// Goroutines count in atomics and the test checks after they have ended, so no assertion runs on a goroutine's stack.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <stray/stray.hpp>
#include "tests/stress/rounds.hpp"

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

stray::wait_group everyone;
template <class F>
void start(F&& f) {
  everyone.go(std::forward<F>(f));
}
void all_ended() {
  everyone.wait();
  while (stray::num_goroutine() != 0) stray::yield();
}

class stress : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = stray::maxprocs(GetParam()); }
  void TearDown() override {
    all_ended();
    stray::maxprocs(before_);
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, stress, testing::Values(1, 2, 4, 8), [](const auto& p) { return std::to_string(p.param); });

// Live instances; a move that may throw makes it travel in a box.
template <bool Nothrow>
struct counted {
  static inline std::atomic<int> live{0};
  int value = 0;
  explicit counted(int v) : value(v) { live++; }
  counted(const counted& other) : value(other.value) { live++; }
  counted(counted&& other) noexcept(Nothrow) : value(std::exchange(other.value, -1)) { live++; }
  counted& operator=(const counted&) = default;
  counted& operator=(counted&& other) noexcept(Nothrow) {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~counted() { live--; }
};

// `senders` send 1..n each, `receivers` take all of it; what arrives must be what was sent.
void pump(std::size_t capacity, int senders, int receivers, int n, bool on_threads) {
  auto ch = stray::make_chan<std::int64_t>(capacity);
  stray::wait_group sending, receiving;
  std::atomic<std::int64_t> sum{0}, count{0};
  std::vector<std::thread> threads;
  auto run_on = [&](stray::wait_group& group, auto body, bool thread) {
    group.add(1);
    auto run = [&group, body]() {
      body();
      group.done();
    };
    if (thread) {
      threads.emplace_back(run);
    } else {
      start(run);
    }
  };
  for (int r = 0; r < receivers; r++) {
    auto receive = [ch, &sum, &count] {
      std::int64_t mine = 0, seen = 0;
      for (std::int64_t v : ch) mine += v, seen++;
      sum += mine;
      count += seen;
    };
    run_on(receiving, receive, on_threads && r % 2 == 0);
  }
  for (int s = 0; s < senders; s++) {
    auto send = [ch, n] {
      for (int i = 1; i <= n; i++) ch.send(i);
    };
    run_on(sending, send, on_threads && s % 2 == 1);
  }
  sending.wait();
  ch.close();
  receiving.wait();
  for (auto& t : threads) t.join();
  EXPECT_EQ(count.load(), std::int64_t{senders} * n);
  EXPECT_EQ(sum.load(), std::int64_t{senders} * n * (n + 1) / 2);
}

TEST_P(stress, unbuffered_channels) {
  pump(0, 1, 1, rounds(5000), false);
  pump(0, 8, 1, rounds(500), false);
  pump(0, 1, 8, rounds(2000), false);
  pump(0, 50, 50, rounds(100), false);
}

TEST_P(stress, buffered_channels) {
  for (std::size_t capacity : {1, 7, 128}) {
    pump(capacity, 1, 1, rounds(5000), false);
    pump(capacity, 20, 20, rounds(200), false);
  }
}

TEST_P(stress, threads_and_goroutines) {
  pump(0, 4, 4, rounds(200), true);
  pump(16, 4, 4, rounds(500), true);
}

TEST_P(stress, order_is_kept_between_one_sender_and_one_receiver) {
  auto ch = stray::make_chan<int>(3);
  int n = rounds(5000);
  start([ch, n] {
    for (int i = 0; i < n; i++) ch.send(i);
    ch.close();
  });
  int next = 0;
  bool in_order = true;
  for (int v : ch) in_order = in_order && v == next++;
  EXPECT_TRUE(in_order);
  EXPECT_EQ(next, n);
}

template <class T>
void ownership(int n) {
  T::live = 0;
  for (std::size_t capacity : {0, 2, 64}) {
    auto ch = stray::make_chan<T>(capacity);
    auto unread = stray::make_chan<T>(8);
    for (int i = 0; i < 5; i++) unread.send(T(i));  // destroyed with the channel
    stray::wait_group sending;
    std::atomic<std::int64_t> sum{0};
    for (int s = 0; s < 4; s++) {
      sending.go([ch, n] {
        for (int i = 0; i < n; i++) {
          T value(i);
          if (i % 3 == 0) {
            ch.send(value);
          } else if (i % 3 == 1) {
            ch.send(std::move(value));
          } else {
            while (!ch.try_send(value)) stray::yield();
          }
        }
      });
    }
    start([&sending, ch] {
      sending.wait();
      ch.close();
    });
    while (std::optional<T> v = ch.recv()) sum += v->value;
    EXPECT_EQ(sum.load(), std::int64_t{4} * n * (n - 1) / 2);
    all_ended();
  }
  EXPECT_EQ(T::live.load(), 0);
}

TEST_P(stress, every_value_is_destroyed_once) { ownership<counted<true>>(rounds(300)); }
TEST_P(stress, every_boxed_value_is_destroyed_once) { ownership<counted<false>>(rounds(300)); }

TEST_P(stress, move_only_and_over_aligned_values) {
  struct alignas(128) wide {
    std::unique_ptr<int> p;
  };
  auto ch = stray::make_chan<wide>(3);
  int n = rounds(1000);
  std::atomic<bool> aligned{true};
  start([ch, n, &aligned] {
    for (int i = 0; i < n; i++) {
      wide w{std::make_unique<int>(i)};
      aligned = aligned && reinterpret_cast<std::uintptr_t>(&w) % 128 == 0;
      ch.send(std::move(w));
    }
    ch.close();
  });
  std::int64_t sum = 0;
  for (wide& w : ch) sum += *w.p;
  EXPECT_EQ(sum, std::int64_t{n} * (n - 1) / 2);
  EXPECT_TRUE(aligned.load());
}

// Goroutines that may send or receive on two channels, some cases twice, until `limit` operations have been done.
TEST_P(stress, select_mix) {
  for (std::size_t capacity : {0, 1}) {
    auto a = stray::make_chan<std::int64_t>(capacity), b = stray::make_chan<std::int64_t>();
    auto quit = stray::make_chan<void>();
    std::atomic<std::int64_t> sent{0}, received{0}, operations{0};
    const std::int64_t limit = rounds(4000);
    for (int g = 0; g < 12; g++) {
      start([=, &sent, &received, &operations] {
        std::int64_t value = g + 1;
        bool stop = false;
        auto take = [&](std::optional<std::int64_t> v) { received += *v; };
        auto gave = [&] { sent += value; };
        while (!stop) {
          if (g % 3 == 0) {
            stray::select(stray::on_recv(a, take), stray::on_recv(a, take), stray::on_send(a, value, gave),
                          stray::on_recv(b, take), stray::on_send(b, value, gave), stray::on_recv(quit, [&] { stop = true; }));
          } else if (g % 3 == 1) {
            stray::select(stray::on_recv(a, take), stray::on_send(b, value, gave), stray::on_send(b, value, gave),
                          stray::on_recv(quit, [&] { stop = true; }));
          } else {
            stray::select(stray::on_send(a, value, gave), stray::on_recv(b, take), stray::on_timeout(50us),
                          stray::on_recv(quit, [&] { stop = true; }));
          }
          if (operations.fetch_add(1) == limit) quit.close();
        }
      });
    }
    all_ended();
    std::optional<std::int64_t> rest;
    while (a.try_recv(rest) == stray::chan_status::ok) received += *rest;
    EXPECT_EQ(sent.load(), received.load());
    EXPECT_GE(operations.load(), limit);
  }
}

TEST_P(stress, select_is_fair) {
  auto a = stray::make_chan<int>(1), b = stray::make_chan<int>(1);
  int n = 4000, chose_a = 0;
  for (int i = 0; i < n; i++) {
    a.try_send(1), b.try_send(1);
    chose_a += stray::select(stray::on_recv(a), stray::on_recv(b)) == 0 ? 1 : 0;
  }
  EXPECT_NEAR(chose_a, n / 2, n / 10);
}

TEST_P(stress, dynamic_select) {
  constexpr int channels = 40;
  std::vector<stray::chan<int>> in;
  for (int i = 0; i < channels; i++) in.push_back(stray::make_chan<int>(i % 3));
  int n = rounds(50);
  for (int i = 0; i < channels; i++) {
    start([ch = in[i], n, i] {
      for (int k = 0; k < n; k++) ch.send(i);
    });
  }
  std::vector<int> seen(channels);
  std::vector<stray::select_case> cases;
  for (int i = 0; i < channels; i++) {
    cases.emplace_back(stray::on_recv(in[i], [&seen, i](std::optional<int> v) { seen[i] += v == i ? 1 : 0; }));
  }
  for (int k = 0; k < n * channels; k++) stray::select(std::span(cases));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), n), channels);
}

// close races with senders, receivers and selects; what a sender got rid of must arrive, and nothing else.
TEST_P(stress, close_in_the_middle) {
  for (int round = 0; round < rounds(60); round++) {
    auto ch = stray::make_chan<int>(round % 3);
    std::atomic<std::int64_t> sent{0}, received{0};
    std::atomic<int> refused{0}, closed_by{0};
    for (int s = 0; s < 6; s++) {
      start([=, &sent, &refused] {
        try {
          for (int i = 1;; i++) {
            if (s % 2 == 0) {
              ch.send(i);
            } else {
              stray::select(stray::on_send(ch, i), stray::on_timeout(1h));
            }
            sent += i;
          }
        } catch (const stray::panic&) {
          refused++;
        }
      });
    }
    for (int r = 0; r < 4; r++) {
      start([=, &received] {
        if (r % 2 == 0) {
          for (int v : ch) received += v;
        } else {
          bool open = true;
          while (open) {
            stray::select(stray::on_recv(ch, [&](std::optional<int> v) { v ? void(received += *v) : void(open = false); }),
                          stray::on_recv(stray::chan<int>{}));
          }
        }
      });
    }
    for (int c = 0; c < 2; c++) {
      start([=, &closed_by] {
        for (int i = 0; i < 20 + round; i++) stray::yield();
        try {
          ch.close();
          closed_by++;
        } catch (const stray::panic&) {
        }
      });
    }
    all_ended();
    EXPECT_EQ(sent.load(), received.load());
    EXPECT_EQ(refused.load(), 6);
    EXPECT_EQ(closed_by.load(), 1);
  }
}

TEST_P(stress, mutex_counter) {
  stray::mutex m;
  std::int64_t counter = 0;
  int n = rounds(2000);
  stray::wait_group group;
  for (int g = 0; g < 16; g++) {
    group.go([&, g] {
      for (int i = 0; i < n; i++) {
        if (g % 4 == 0) {
          while (!m.try_lock()) stray::yield();
        } else {
          m.lock();
        }
        std::int64_t seen = counter;
        if (i % 64 == 0) stray::yield();
        counter = seen + 1;
        m.unlock();
      }
    });
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < n / 10; i++) {
        std::lock_guard lock(m);
        counter++;
      }
    });
  }
  group.wait();
  for (auto& t : threads) t.join();
  EXPECT_EQ(counter, std::int64_t{16} * n + std::int64_t{3} * (n / 10));
}

// Nobody starves: the spread is printed, and every goroutine must have had its turn.
TEST_P(stress, mutex_fairness) {
  constexpr int goroutines = 8;
  stray::mutex m;
  std::array<std::atomic<std::int64_t>, goroutines> turns{};
  std::atomic<bool> stop{false};
  stray::wait_group group;
  for (int g = 0; g < goroutines; g++) {
    group.go([&, g] {
      while (!stop) {
        {
          std::lock_guard lock(m);
          turns[g]++;
          auto end = steady::now() + 20us;
          while (steady::now() < end) {
          }
        }
        stray::yield();  // goroutines are not preempted
      }
    });
  }
  stray::sleep_for(rounds(100) * 1ms);
  stop = true;
  group.wait();
  auto [least, most] = std::minmax_element(turns.begin(), turns.end(), [](auto& a, auto& b) { return a.load() < b.load(); });
  std::printf("turns at %d workers: least %lld, most %lld\n", GetParam(), static_cast<long long>(least->load()),
              static_cast<long long>(most->load()));
  EXPECT_GT(least->load(), 0);
}

TEST_P(stress, wait_group_reuse) {
  std::atomic<int> wrong{0};
  stray::wait_group group;
  for (int round = 0; round < rounds(300); round++) {
    std::atomic<int> done{0};
    for (int g = 0; g < 8; g++) {
      group.go([&done] {
        stray::yield();
        done++;
      });
    }
    stray::wait_group waiters;
    for (int w = 0; w < 3; w++) {
      waiters.go([&] {
        group.wait();
        if (done != 8) wrong++;
      });
    }
    group.wait();
    waiters.wait();
    if (done != 8) wrong++;
  }
  EXPECT_EQ(wrong.load(), 0);
}

// wait has returned, so the wait_group may go, although the last done may still be on its way out.
TEST_P(stress, wait_group_on_a_stack_that_ends) {
  std::atomic<int> ran{0};
  for (int round = 0; round < rounds(1000); round++) {
    auto group = std::make_unique<stray::wait_group>();
    for (int g = 0; g < 3; g++) group->go([&ran] { ran++; });
    group->wait();
    group.reset();
  }
  EXPECT_EQ(ran.load(), 3 * rounds(1000));
}

void ping_pong(int n, bool second_on_thread, bool timed) {
  stray::mutex m;
  stray::condition_variable turn;
  int whose = 0;
  auto play = [&, n](int me) {
    for (int i = 0; i < n; i++) {
      std::unique_lock lock(m);
      if (timed) {
        while (whose != me) turn.wait_for(lock, 200us);
      } else {
        turn.wait(lock, [&] { return whose == me; });
      }
      whose = 1 - me;
      i % 2 == 0 ? turn.notify_one() : turn.notify_all();
    }
  };
  stray::wait_group group;
  group.go([&] { play(0); });
  if (second_on_thread) {
    std::thread([&] { play(1); }).join();
  } else {
    group.go([&] { play(1); });
  }
  group.wait();
  EXPECT_EQ(whose, 0);
}

TEST_P(stress, condition_variable_ping_pong) { ping_pong(rounds(2000), false, false); }
TEST_P(stress, condition_variable_ping_pong_with_a_thread) { ping_pong(rounds(300), true, false); }
TEST_P(stress, condition_variable_ping_pong_with_time_outs) { ping_pong(rounds(1000), false, true); }

// Waits time out while the mutex is held, and are notified before they have it again: the notification must not pass for the mutex.
TEST_P(stress, late_notifications) {
  stray::mutex m;
  stray::condition_variable changed;
  int inside = 0, most = 0;
  auto hold = [&](std::chrono::nanoseconds d) {
    most = std::max(most, ++inside);
    auto end = steady::now() + d;
    while (steady::now() < end) {
    }
    inside--;
  };
  int n = rounds(100);
  for (int w = 0; w < 3; w++) {
    start([&, n] {
      for (int i = 0; i < n; i++) {
        std::unique_lock lock(m);
        changed.wait_for(lock, 5us);
        hold(1us);
      }
    });
  }
  start([&, n] {
    for (int i = 0; i < n; i++) {
      {
        std::lock_guard lock(m);
        hold(50us);
        changed.notify_all();
        hold(50us);
      }
      stray::yield();
    }
  });
  all_ended();
  EXPECT_EQ(most, 1);
}

TEST_P(stress, condition_variable_wakes_all) {
  stray::mutex m;
  stray::condition_variable changed;
  int generation = 0, seen = 0;
  constexpr int waiters = 50;
  int n = rounds(30);
  stray::wait_group group;
  for (int w = 0; w < waiters; w++) {
    group.go([&] {
      for (int next = 1; next <= n; next++) {
        std::unique_lock lock(m);
        changed.wait(lock, [&] { return generation >= next; });
        seen++;
        changed.notify_all();
      }
    });
  }
  for (int next = 1; next <= n; next++) {
    std::unique_lock lock(m);
    generation = next;
    changed.notify_all();
    changed.wait(lock, [&] { return seen == next * waiters; });
  }
  group.wait();
  EXPECT_EQ(seen, n * waiters);
}

TEST_P(stress, timed_wait_without_notify_times_out) {
  std::atomic<int> early{0}, missed{0};
  for (int g = 0; g < 200; g++) {
    start([&, g] {
      stray::mutex m;
      stray::condition_variable never;
      std::unique_lock lock(m);
      auto d = (g % 20) * 1ms;
      auto began = steady::now();
      if (never.wait_for(lock, d, [] { return false; })) missed++;
      if (steady::now() - began < d) early++;
    });
  }
  all_ended();
  EXPECT_EQ(early.load(), 0);
  EXPECT_EQ(missed.load(), 0);
}

TEST_P(stress, many_sleepers) {
  std::atomic<int> early{0};
  std::atomic<std::int64_t> latest_ns{0};
  int n = rounds(3000);
  for (int g = 0; g < n; g++) {
    start([&, g] {
      auto d = (g * 7919 % 50) * 1ms;
      auto began = steady::now();
      stray::sleep_for(d);
      std::int64_t over = (steady::now() - began - d).count();
      if (over < 0) early++;
      std::int64_t most = latest_ns;
      while (over > most && !latest_ns.compare_exchange_weak(most, over)) {
      }
    });
  }
  all_ended();
  EXPECT_EQ(early.load(), 0);
  std::printf("%d sleepers at %d workers: the latest by %.1f ms\n", n, GetParam(), static_cast<double>(latest_ns.load()) / 1e6);
}

// A timer and a sender want the same select: exactly one wins.
TEST_P(stress, timeouts_race_with_senders) {
  int n = rounds(300);
  std::atomic<int> sent{0}, received{0}, timed_out{0};
  for (int i = 0; i < n; i++) {
    auto ch = stray::make_chan<int>();
    start([=, &received, &timed_out] {
      stray::select(stray::on_recv(ch, [&] { received++; }), stray::on_timeout(50us * (i % 4), [&] { timed_out++; }));
    });
    start([=, &sent] { stray::select(stray::on_send(ch, i, [&] { sent++; }), stray::on_timeout(50us * (i % 5))); });
  }
  all_ended();
  EXPECT_EQ(sent.load(), received.load());
  EXPECT_EQ(received.load() + timed_out.load(), n);
}

// Records of threads are used again when the threads are gone.
TEST_P(stress, threads_come_and_go) {
  for (int round = 0; round < rounds(30); round++) {
    auto ch = stray::make_chan<int>();
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) threads.emplace_back([ch, &sum] { sum += *ch.recv(); });
    for (int t = 0; t < 4; t++) {
      start([ch, t] { ch.send(t + 1); });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(sum.load(), 10);
  }
}

struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Parks in a destructor while an exception flies.
struct parks_at_the_end {
  stray::chan<int> ch;
  int* unwinding;
  ~parks_at_the_end() {
    *unwinding = std::uncaught_exceptions();
    ch.recv();
    if (*unwinding != std::uncaught_exceptions()) *unwinding = -1;
  }
};

void throw_and_park(const stray::chan<int>& ch, int me, std::atomic<int>& right) {
  std::string text = "failure of " + std::to_string(me);
  int unwinding = 0;
  try {
    try {
      parks_at_the_end p{ch, &unwinding};
      throw failure(text);
    } catch (const failure& first) {
      ch.recv();
      try {
        throw std::out_of_range("second " + std::to_string(me));
      } catch (const std::out_of_range& second) {
        ch.recv();
        if (second.what() != "second " + std::to_string(me)) return;
      }
      if (first.what() != text) return;
      stray::yield();
      throw;
    }
  } catch (const std::exception& again) {
    std::exception_ptr kept = std::current_exception();
    ch.recv();
    if (again.what() != text || std::current_exception() != kept) return;
  }
  if (unwinding == 1 && std::uncaught_exceptions() == 0 && std::current_exception() == nullptr) right++;
}

TEST_P(stress, exceptions_migrate_with_their_goroutine) {
  int n = rounds(200);
  auto ch = stray::make_chan<int>();
  std::atomic<int> right{0};
  for (int g = 0; g < n; g++) start([=, &right] { throw_and_park(ch, g, right); });
  std::vector<std::thread> feeders;
  for (int f = 0; f < 2; f++) {
    feeders.emplace_back([ch, n] {
      for (int i = 0; i < 2 * n; i++) ch.send(i);
    });
  }
  for (auto& f : feeders) f.join();
  all_ended();
  EXPECT_EQ(right.load(), n);
}

// Closures of every kind: small, large, over-aligned, and such whose copy throws, when nothing may be started.
struct picky {
  bool* armed;
  std::atomic<int>* ran;
  explicit picky(bool* a, std::atomic<int>* r) : armed(a), ran(r) {}
  picky(const picky& other) : armed(other.armed), ran(other.ran) {
    if (*armed) throw failure("copy");
  }
  void operator()() const { (*ran)++; }
};
struct large_picky : picky {
  using picky::picky;
  std::array<char, 200> bytes{};
};
struct alignas(64) wide_picky : picky {
  using picky::picky;
  std::array<char, 200> bytes{};
};

template <class F>
void start_some(std::atomic<int>& ran, int n) {
  bool armed = false;
  F f(&armed, &ran);
  int before = ran;
  for (int i = 0; i < n; i++) {
    armed = false;
    stray::go(f);
    while (ran != before + i + 1) stray::yield();  // before it runs it may still be moved, which copies
    armed = true;
    EXPECT_THROW(stray::go(f), failure);
  }
}

TEST_P(stress, closures_of_every_kind) {
  std::atomic<int> ran{0};
  int n = rounds(100);
  start_some<picky>(ran, n);
  start_some<large_picky>(ran, n);
  start_some<wide_picky>(ran, n);
  EXPECT_EQ(ran.load(), 3 * n);
}

void tree(int depth, std::atomic<int>& leaves, stray::wait_group& all) {
  if (depth == 0) {
    leaves++;
    return;
  }
  for (int i = 0; i < 2; i++) all.go([depth, &leaves, &all] { tree(depth - 1, leaves, all); });
}

TEST_P(stress, trees_of_goroutines) {
  std::atomic<int> leaves{0};
  for (int round = 0; round < rounds(5); round++) {
    stray::wait_group all;
    tree(10, leaves, all);
    all.wait();
  }
  EXPECT_EQ(leaves.load(), rounds(5) * 1024);
}

TEST_P(stress, deep_chain) {
  int n = rounds(500);
  auto first = stray::make_chan<int>();
  auto in = first;
  for (int i = 0; i < n; i++) {
    auto out = stray::make_chan<int>();
    start([in, out] { out.send(*in.recv() + 1); });
    in = out;
  }
  first.send(0);
  EXPECT_EQ(in.recv(), n);
}

// The number of workers changes under load, and work is neither lost nor left lying.
TEST_P(stress, workers_come_and_go) {
  std::atomic<bool> stop{false};
  std::thread changer([&] {
    for (int i = 0; !stop; i++) {
      stray::maxprocs(1 + i * 5 % 8);
      std::this_thread::yield();
    }
  });
  pump(0, 8, 8, rounds(500), false);
  pump(4, 8, 8, rounds(500), true);
  std::atomic<int> slept{0};
  for (int g = 0; g < 200; g++) {
    start([&slept, g] {
      stray::sleep_for((g % 10) * 1ms);
      slept++;
    });
  }
  all_ended();
  stop = true;
  changer.join();
  EXPECT_EQ(slept.load(), 200);
}

}  // namespace
