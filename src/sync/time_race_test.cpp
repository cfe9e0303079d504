// Timers on the real clock, many at a time, shared, moved while they fire, beside goroutines that keep the workers busy and signals. Nothing
// waits for a time to pass: each wait ends with the event that it is about.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <stray/condition_variable.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/select.hpp>
#include <stray/semaphore.hpp>
#include <stray/time.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

bool takes(const recv_chan<time_point>& ch) {
  std::optional<time_point> v;
  return ch.try_recv(v) == chan_status::ok;
}

class time_race : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = maxprocs(GetParam()); }
  void TearDown() override {
    all_ended();
    maxprocs(before_);
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, time_race, ::testing::Values(1, 2, 4, 8),
                         [](const auto& p) { return std::to_string(p.param); });

// One of the two can always run.
TEST_P(time_race, a_busy_pair_does_not_hold_up_after_func) {
  for (int round = 0; round < 50; round++) {
    auto ch = make_chan<int>(1);
    std::atomic<bool> stop{false};
    wait_group pair;
    pair.go([&] {
      while (!stop) ch.send(1);
      ch.close();
    });
    pair.go([&] {
      while (ch.recv()) {
      }
    });
    after_func(1us, [&] { stop = true; });
    pair.wait();
    all_ended();
  }
}

TEST_P(time_race, after_func_starts_the_next_one) {
  std::atomic<int> left{20};
  auto last = make_chan<void>();
  std::function<void()> next = [&] {
    if (--left == 0) return last.close();
    after_func(0s, next);
    last.recv();  // all of them are there at the end
  };
  after_func(0s, next);
  last.recv();
  all_ended();
  EXPECT_EQ(left, 0);
}

TEST_P(time_race, a_ticker_of_a_nanosecond_feeds_many) {
  ticker t(1ns);
  for (int i = 0; i < 100; i++) t.channel().recv();
  wait_group group;
  for (int g = 0; g < 10; g++) {
    group.go([&] {
      for (int i = 0; i < 100; i++) t.channel().recv();
    });
  }
  group.wait();
  t.stop();
  EXPECT_FALSE(takes(t.channel()));
}

TEST_P(time_race, timers_of_no_time_all_fire) {
  auto body = [] {
    auto ran = make_chan<int>(1);
    timer again = after_func(0s, [ran] { ran.send(1); });
    ran.recv();
    for (int i = 0; i < 500; i++) {
      timer(0s).channel().recv();
      after(0s).recv();
      after_func(0s, [ran] { ran.send(2); });
      ran.recv();
      again.reset(0s);
      ran.recv();
    }
  };
  body();  // on this thread
  go(body);
  all_ended();
}

TEST_P(time_race, one_moved_to_the_past_fires) {
  int sent_before = 0;
  for (int i = 0; i < 200; i++) {
    auto ran = make_chan<int>(1);
    timer func = after_func(1h, [ran] { ran.send(1); }), plain(1h);
    for (int k = 0; k < 10; k++) {
      if (!func.stop()) ran.recv(), sent_before++;
      func.reset(-1h);
      EXPECT_TRUE(plain.stop());
      EXPECT_FALSE(plain.reset(-1h));
    }
    ran.recv();
    plain.channel().recv();
    all_ended();
    EXPECT_EQ(ran.len(), 0u);
    EXPECT_EQ(plain.channel().len(), 0u);
  }
  RecordProperty("ran_before_the_stop", sent_before);
}

// Each goes its way: fired, moved far, stopped, moved far twice, stopped, moved near, fired; the seed says which one goes on.
TEST_P(time_race, many_moved_far_and_near_fire) {
  constexpr std::size_t n = 100;
  for (unsigned seed = 1; seed <= 5; seed++) {
    std::mt19937 random(seed);
    std::vector<timer> timers;
    std::vector<chan<int>> ran;
    std::vector<std::size_t> turns;
    std::vector<int> step(n);
    for (std::size_t i = 0; i < n; i++) {
      ran.push_back(make_chan<int>(1));
      timers.push_back(after_func(0s, [ch = ran[i]] { ch.send(1); }));
      turns.insert(turns.end(), 8, i);
    }
    std::shuffle(turns.begin(), turns.end(), random);
    for (std::size_t i : turns) {
      auto far = std::chrono::minutes(1 + random() % 5);
      switch (step[i]++) {
        case 0:
        case 7:
          ran[i].recv();
          break;
        case 1:
        case 3:
          EXPECT_FALSE(timers[i].reset(far));
          break;
        case 4:
          EXPECT_TRUE(timers[i].reset(far));
          break;
        case 2:
        case 5:
          EXPECT_TRUE(timers[i].stop());
          break;
        default:
          EXPECT_FALSE(timers[i].reset(0s));
      }
    }
    all_ended();
  }
}

// Two that are due at the same time: the one whose value was not taken is stopped or moved while it fires, has fired, or is about to.
TEST_P(time_race, stop_and_reset_of_what_nobody_took_say_true) {
  std::atomic<int> denied{0}, stale{0};
  wait_group group;
  for (int g = 0; g < 40; g++) {
    group.go([&, g] {
      for (int i = 0; i < 25; i++) {
        timer one(200us), two(200us);
        timer& other = select(on_recv(one.channel()), on_recv(two.channel())) == 0 ? two : one;
        denied += !(g % 2 == 0 ? other.stop() : other.reset(1h));
        stale += takes(other.channel());
      }
    });
  }
  group.wait();
  EXPECT_EQ(denied, 0);
  EXPECT_EQ(stale, 0);
}

TEST_P(time_race, many_share_a_ticker) {
  ticker t(1us);
  std::atomic<int> ticks{0};
  wait_group group;
  for (int g = 0; g < 8; g++) {
    group.go([&, t] {
      for (int i = 0; i < 500; i++) ticks += select(on_recv(t.channel()), on_recv(after(1ms))) == 0;
    });
  }
  group.wait();
  EXPECT_GT(ticks, 0);
}

TEST_P(time_race, many_share_a_timer) {
  timer t(1ns);
  std::atomic<int> too_many{0};
  wait_group group;
  for (int g = 0; g < 8; g++) {
    group.go([&, t] {
      for (int i = 0; i < 2000; i++) {
        takes(t.channel());
        too_many += t.channel().len() > 1;
        t.reset(1ns);
      }
    });
  }
  group.wait();
  EXPECT_EQ(too_many, 0);
  t.reset(1ns);
  t.channel().recv();
  EXPECT_FALSE(t.stop());
  EXPECT_FALSE(takes(t.channel()));
}

// A thread of the program's own that sleeps is hit by signals, without SA_RESTART, until it says that it is done.
TEST(sleeping_thread, a_sleep_lasts_its_time_under_signals) {
  struct sigaction act = {}, before = {};
  act.sa_handler = [](int) {};
  ASSERT_EQ(sigaction(SIGUSR2, &act, &before), 0);
  std::atomic<bool> done{false};
  std::atomic<int> early{0}, woken{0};
  std::thread thread([&] {
    auto lasts = [&](auto wait) {
      auto began = steady::now();
      wait(10ms);
      early += steady::now() - began < 10ms;
    };
    lasts([](auto d) { sleep_for(d); });
    lasts([](auto d) { after(d).recv(); });
    lasts([&](auto d) { woken += select(on_recv(make_chan<int>()), on_timeout(d)) != 1; });
    lasts([&](auto d) { woken += semaphore(0).try_acquire_for(d); });
    lasts([&](auto d) {
      mutex m;
      condition_variable cv;
      std::unique_lock lock(m);
      woken += cv.wait_for(lock, d) != std::cv_status::timeout;
    });
    done = true;
  });
  while (!done) {
    pthread_kill(thread.native_handle(), SIGUSR2);
    std::this_thread::yield();
  }
  thread.join();
  sigaction(SIGUSR2, &before, nullptr);
  EXPECT_EQ(early, 0);
  EXPECT_EQ(woken, 0);
}

}  // namespace
}  // namespace stray
