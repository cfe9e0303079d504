// shared_mutex, once, semaphore, latch and barrier under load, at 1, 2, 4 and 8 workers, also while the detector looks on: what excludes must
// exclude, sums must add up, waits must end, nobody may starve, and nothing healthy may be reported.
//
// STRAY_TEST_LONG=1 does twenty times the rounds. A hang is a failure: ctest has the time limit. STRAY_TEST_SEED=N repeats a run's choices.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <stray/stray.hpp>
#include "runtime/park.h"
#include "tests/stress/rounds.hpp"

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

std::uint64_t seed() {
  const char* text = std::getenv("STRAY_TEST_SEED");
  static const std::uint64_t value = text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device()();
  return value;
}
// A generator of one goroutine or thread.
struct choices {
  std::minstd_rand engine;
  explicit choices(int who) : engine(static_cast<unsigned>(seed() + static_cast<unsigned>(who) * 7919u + 1)) {}
  bool one_in(unsigned n) { return engine() % n == 0; }
  std::size_t below(std::size_t n) { return engine() % n; }
};

void spin(std::chrono::nanoseconds d) {
  auto end = steady::now() + d;
  while (steady::now() < end) {
  }
}

class sync_stress : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    before_ = stray::maxprocs(GetParam());
    wrong_before_ = stray::runtime::wrong_verdicts();
  }
  void TearDown() override {
    while (stray::num_goroutine() != 0) stray::yield();
    stray::maxprocs(before_);
    EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong_before_);
    if (HasFailure()) std::printf("seed %llu\n", static_cast<unsigned long long>(seed()));
  }

 private:
  int before_ = 1;
  std::uint64_t wrong_before_ = 0;
};
INSTANTIATE_TEST_SUITE_P(procs, sync_stress, testing::Values(1, 2, 4, 8),
                         [](const auto& p) { return std::to_string(p.param); });

// body(who) on so many goroutines and threads; returns when all have ended.
template <class F>
void on_all(int goroutines, int threads, F body) {
  stray::wait_group group;
  std::vector<std::thread> native;
  for (int g = 0; g < goroutines; g++) group.go([body, g] { body(g); });
  for (int t = 0; t < threads; t++) native.emplace_back(body, goroutines + t);
  group.wait();
  for (auto& t : native) t.join();
}

// Asks the detector all the time, from before the work begins; nothing may be found.
class onlooker {
 public:
  onlooker()
      : thread_([this] {
          while (!stop_) {
            stray::leak::report r = stray::leak::find();
            found_ += r.total();
            asked_++;
            asked_.notify_one();
          }
        }) {
    asked_.wait(0);
  }
  ~onlooker() {
    stop_ = true;
    thread_.join();
    EXPECT_EQ(found_.load(), 0u);
  }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> found_{0};
  std::atomic<int> asked_{0};
  std::thread thread_;
};

// Pairs that must stay equal, each behind its lock; some hold several locks, in order of their addresses.
struct guarded {
  stray::shared_mutex lock;
  std::int64_t left = 0, right = 0;
};
void mix(int goroutines, int threads, int n) {
  std::array<guarded, 6> all;
  std::atomic<int> torn{0};
  std::atomic<std::int64_t> writes{0};
  auto read = [&torn](guarded& g) { torn += g.left != g.right; };
  auto write = [&writes](guarded& g) {
    g.left++;
    g.right++;
    writes++;
  };
  on_all(goroutines, threads, [&](int who) {
    choices choose(who);
    for (int i = 0; i < n; i++) {
      std::size_t first = choose.below(all.size()), last = std::min(all.size(), first + 1 + choose.below(5));
      switch (choose.below(8)) {
        case 0:
          for (std::size_t k = first; k < last; k++) all[k].lock.lock();
          for (std::size_t k = first; k < last; k++) write(all[k]);
          if (choose.one_in(16)) stray::yield();
          for (std::size_t k = first; k < last; k++) all[k].lock.unlock();
          break;
        case 1:
          if (all[first].lock.try_lock()) {
            write(all[first]);
            all[first].lock.unlock();
          }
          break;
        case 2:
          if (all[first].lock.try_lock_shared()) {
            read(all[first]);
            all[first].lock.unlock_shared();
          }
          break;
        default:
          for (std::size_t k = first; k < last; k++) all[k].lock.lock_shared();
          for (std::size_t k = first; k < last; k++) read(all[k]);
          if (choose.one_in(16)) stray::yield();
          for (std::size_t k = first; k < last; k++) all[k].lock.unlock_shared();
      }
    }
  });
  std::int64_t sum = 0;
  for (guarded& g : all) {
    EXPECT_TRUE(g.lock.try_lock());  // nobody has left anything behind
    read(g);
    sum += g.left;
  }
  EXPECT_EQ(sum, writes.load());
  EXPECT_EQ(torn.load(), 0);
}

TEST_P(sync_stress, shared_mutex_mix) { mix(16, 3, rounds(1500)); }
TEST_P(sync_stress, shared_mutex_mix_while_the_detector_looks_on) {
  onlooker looks;
  mix(12, 2, rounds(600));
}

TEST_P(sync_stress, shared_mutex_on_a_stack_that_ends) {
  for (int round = 0; round < rounds(200); round++) {
    auto m = std::make_shared<stray::shared_mutex>();
    std::atomic<int> left{4};
    for (int g = 0; g < 4; g++) {
      stray::go([m, g, &left] {
        g % 2 == 0 ? m->lock_shared() : m->lock();
        g % 2 == 0 ? m->unlock_shared() : m->unlock();
        left--;
      });
    }
    m.reset();
    while (left != 0) stray::yield();
  }
}

// Waits of all kinds that all end, with the detector looking on.
TEST_P(sync_stress, meetings_while_the_detector_looks_on) {
  onlooker looks;
  int n = rounds(60);
  constexpr int group_size = 6;
  stray::barrier<> step(group_size);
  stray::semaphore permits(2);
  std::deque<stray::once> onces(static_cast<std::size_t>(n));
  std::deque<stray::latch> latches;
  for (int i = 0; i < n; i++) latches.emplace_back(group_size);
  std::atomic<int> ran{0}, inside{0}, most{0};
  on_all(group_size - 2, 2, [&](int who) {
    choices choose(who);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); i++) {
      try {
        onces[i].call([&] {
          if (choose.one_in(3)) throw std::runtime_error("again");
          if (choose.one_in(2)) stray::yield();
          ran++;
        });
      } catch (const std::runtime_error&) {
        onces[i].call([&] { ran++; });
      }
      permits.acquire();
      int now = ++inside, seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      if (choose.one_in(2)) stray::yield();
      inside--;
      permits.release();
      latches[i].arrive_and_wait();
      step.arrive_and_wait();
    }
  });
  EXPECT_EQ(ran.load(), n);
  EXPECT_LE(most.load(), 2);
}

// A permit and a time-out want the same waiter: no permit is lost, none is made up.
TEST_P(sync_stress, permits_race_with_timeouts) {
  stray::semaphore permits(0);
  int n = rounds(300);
  std::atomic<int> got{0};
  on_all(8, 1, [&](int who) {
    choices choose(who);
    for (int i = 0; i < n; i++) {
      if (who % 2 == 0) {
        permits.release();
        if (choose.one_in(4)) stray::sleep_for(20us);
      } else {
        got += permits.try_acquire_for(static_cast<long>(choose.below(60)) * 1us) ? 1 : 0;
      }
    }
  });
  int left = 0;
  while (permits.try_acquire()) left++;
  EXPECT_EQ(got + left, 5 * n);
}

// --- fairness -----------------------------------------------------------------------------------------------------------------------

void print_spread(const char* what, std::span<std::atomic<std::int64_t>> turns) {
  std::vector<long long> sorted(turns.begin(), turns.end());
  std::sort(sorted.begin(), sorted.end());
  std::printf("  %-24s least %6lld, median %6lld, most %6lld\n", what, sorted.front(), sorted[sorted.size() / 2],
              sorted.back());
}

// Goroutines that lock all the time, [0, writers) to write, the rest to read: for a while, and until each has had ten turns.
template <std::size_t N, class Lock, class LockShared>
void hammer(std::size_t writers, std::array<std::atomic<std::int64_t>, N>& turns, Lock lock, LockShared lock_shared) {
  std::atomic<bool> stop{false};
  stray::wait_group group;
  for (std::size_t g = 0; g < N; g++) {
    group.go([&, g] {
      while (!stop) {
        {
          auto hold = g < writers ? lock() : lock_shared();
          turns[g]++;
          spin(10us);
        }
        stray::yield();  // goroutines are not preempted
      }
    });
  }
  stray::sleep_for(rounds(60) * 1ms);
  while (std::any_of(turns.begin(), turns.end(), [](auto& t) { return t < 10; })) stray::sleep_for(1ms);
  stop = true;
  group.wait();
}

TEST_P(sync_stress, fairness) {
  std::printf("acquisitions by goroutine at %d workers\n", GetParam());
  constexpr std::size_t n = 8;
  {
    stray::mutex m;
    std::array<std::atomic<std::int64_t>, n> turns{};
    auto lock = [&] { return std::unique_lock(m); };
    hammer(n, turns, lock, lock);
    print_spread("mutex", std::span(turns));
  }
  struct held {  // either way
    std::unique_lock<stray::shared_mutex> alone;
    std::shared_lock<stray::shared_mutex> shared;
  };
  for (std::size_t writers : {std::size_t{0}, std::size_t{1}, n / 2, n - 1, n}) {
    stray::shared_mutex m;
    std::array<std::atomic<std::int64_t>, n> turns{};
    hammer(
        writers, turns,
        [&] {
          return held{std::unique_lock(m), {}};
        },
        [&] {
          return held{{}, std::shared_lock(m)};
        });
    std::string what = std::to_string(writers) + " of 8 write: ";
    if (writers != 0) print_spread((what + "writers").c_str(), std::span(turns).first(writers));
    if (writers != n) print_spread((what + "readers").c_str(), std::span(turns).subspan(writers));
  }
}

}  // namespace
