// Goroutines share the workers: yield is fair, exceptions stay with their goroutine when it moves, maxprocs may change at any time.
#include "runtime/scheduler.h"
#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/test_waits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <stray/go.hpp>

namespace stray::runtime {
namespace {

using namespace std::chrono_literals;

class scheduling : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = maxprocs(GetParam()); }
  void TearDown() override {
    all_ended();
    maxprocs(before_);
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, scheduling, testing::Values(1, 2, 4), [](const auto& p) { return std::to_string(p.param); });

TEST(yielding, is_fair_with_one_worker) {
  int before = maxprocs(1);
  constexpr std::size_t n = 10;
  constexpr int rounds = 1000;
  std::vector<std::atomic<int>> turns(n);  // one worker; but another takes over from one that the machine holds up
  std::atomic<int> ended{0}, spread{0};
  go([&] {
    for (std::size_t i = 0; i < n; i++) {
      go([&, i] {
        for (int k = 0; k < rounds; k++) {
          turns[i]++;
          auto [least, most] = std::minmax_element(turns.begin(), turns.end());
          int now = *most - *least;
          if (now > spread) spread = now;
          yield();
        }
        ended++;
      });
    }
  });
  while (ended.load() != n) std::this_thread::yield();
  EXPECT_LE(spread, 2);
  maxprocs(before);
  all_ended();
}

TEST(yielding, lets_a_goroutine_from_outside_in) {
  int before = maxprocs(1);
  std::atomic<bool> stop{false};
  for (int i = 0; i < 4; i++) go([&] { until([&] { return stop.load(); }); });
  for (int i = 0; i < 20; i++) {
    std::atomic<bool> ran{false};
    go([&] { ran = true; });
    while (!ran.load()) std::this_thread::yield();
  }
  stop = true;
  all_ended();
  maxprocs(before);
}

// As one that yields is: its worker mostly comes back to it, so nobody is woken. Here the other worker sleeps, and this one computes.
TEST(yielding, to_one_that_computes_is_told_to_an_idle_worker) {
  int before = maxprocs(2);
  std::atomic<task*> queued{nullptr};
  std::atomic<bool> runs{false}, late{false};
  go([&] {
    task* self = current_task();
    prepare_wait(self, wait_reason::internal, nullptr, 0);
    queued = self;
    park(self);
    runs = true;
  });
  until([&] { return queued != nullptr && queued.load()->current_state() == state::waiting; });
  go([&] {
    auto end = std::chrono::steady_clock::now() + 10s;
    while (sched().idle_count.load() == 0) base::cpu_relax();
    task* t = queued;
    ASSERT_TRUE(try_claim(t));
    t->word.store(word::with(t->word.load(), state::runnable));
    ASSERT_TRUE(current_worker()->queue.push(t));
    while (!runs && !late) late = std::chrono::steady_clock::now() > end;
  });
  all_ended();
  EXPECT_FALSE(late);
  maxprocs(before);
}

TEST_P(scheduling, more_goroutines_than_a_run_queue_holds_all_run) {
  constexpr int n = 3000;
  std::atomic<int> ran{0}, again{0};
  go([&] {
    for (int i = 0; i < n; i++) {
      go([&] {
        ran++;
        yield();
        again++;
      });
    }
  });
  until([&] { return again == n; });
  EXPECT_EQ(ran, n);
  all_ended();
}

TEST_P(scheduling, registers_and_locals_survive_switches) {
  std::atomic<int> wrong{0}, ended{0};
  for (int g = 0; g < 20; g++) {
    go([&, g] {
      std::uint64_t a = 1, b = static_cast<std::uint64_t>(g), c = 3;
      double d = g * 0.5;
      for (int i = 0; i < 500; i++) {
        a = a * 6364136223846793005u + b, b ^= a >> 7, c += a ^ b, d += 0.25;
        yield();
      }
      std::uint64_t x = 1, y = static_cast<std::uint64_t>(g), z = 3;
      for (int i = 0; i < 500; i++) x = x * 6364136223846793005u + y, y ^= x >> 7, z += x ^ y;
      wrong += x != a || y != b || z != c || d != g * 0.5 + 125;
      ended++;
    });
  }
  until([&] { return ended == 20; });
  EXPECT_EQ(wrong, 0);
  all_ended();
}

// Parks while an exception is being handled, and while one unwinds.
struct parks_in_destructor {
  std::atomic<int>& wrong;
  int expected = std::uncaught_exceptions() + 1;
  ~parks_in_destructor() {
    wrong += std::uncaught_exceptions() != expected;
    sleep_for(100us);
    yield();
    wrong += std::uncaught_exceptions() != expected;
  }
};
TEST_P(scheduling, an_exception_stays_with_its_goroutine) {
  constexpr int n = 40;
  std::atomic<int> wrong{0}, ended{0};
  for (int g = 0; g < n; g++) {
    go([&, g] {
      std::string mine = "goroutine " + std::to_string(g);
      for (int i = 0; i < 5; i++) {
        try {
          parks_in_destructor guard{wrong};
          throw std::runtime_error(mine);
        } catch (const std::runtime_error& e) {
          wrong += std::uncaught_exceptions() != 0;
          for (int k = 0; k < 3; k++) {
            sleep_for(std::chrono::microseconds(g * 37 % 100 + 1));
            yield();
          }
          wrong += e.what() != mine;
          try {
            sleep_for(50us);
            throw;
          } catch (const std::exception& again) {
            yield();
            wrong += again.what() != mine;
            try {
              throw std::logic_error("inner");
            } catch (const std::logic_error&) {
              yield();
            }
          }
          std::exception_ptr p = std::current_exception();
          yield();
          wrong += p == nullptr || p != std::current_exception();
        }
        wrong += std::current_exception() != nullptr;
      }
      ended++;
    });
  }
  until([&] { return ended == n; });
  EXPECT_EQ(wrong, 0);
  all_ended();
}

TEST_P(scheduling, a_goroutine_started_while_an_exception_is_handled_has_none) {
  std::atomic<int> wrong{0}, ended{0};
  go([&] {
    try {
      throw 1;
    } catch (int) {
      go([&] {
        wrong += std::current_exception() != nullptr || std::uncaught_exceptions() != 0;
        ended++;
      });
      until([&] { return ended == 1; });
      wrong += std::current_exception() == nullptr;
    }
    ended++;
  });
  until([&] { return ended == 2; });
  EXPECT_EQ(wrong, 0);
  all_ended();
}

TEST(procs, are_asked_for_and_set) {
  int before = maxprocs();
  EXPECT_GE(before, 1);
  EXPECT_EQ(maxprocs(0), before);
  EXPECT_EQ(maxprocs(-3), before);
  EXPECT_EQ(maxprocs(), before);
  EXPECT_EQ(maxprocs(3), before);
  EXPECT_EQ(maxprocs(), 3);
  EXPECT_EQ(maxprocs(before), 3);
  EXPECT_EQ(maxprocs(), before);
}

TEST(procs, go_up_and_down_while_goroutines_run) {
  int before = maxprocs();
  constexpr int n = 40;
  std::atomic<bool> stop{false};
  std::atomic<int> ended{0};
  std::atomic<long> turns{0};
  for (int i = 0; i < n; i++) {
    go([&, i] {
      while (!stop.load()) {
        turns++;
        if (i % 4 == 0) {
          sleep_for(100us);
        } else {
          yield();
        }
      }
      ended++;
    });
  }
  for (int p : {1, 4, 2, 8, 1, 3, 1, 2, 6, 1}) {
    maxprocs(p);
    long seen = turns.load();
    while (turns.load() < seen + 500) std::this_thread::yield();  // it goes on
  }
  stop = true;
  while (ended.load() != n) std::this_thread::yield();
  all_ended();
  maxprocs(before);
}

TEST(procs, change_while_everything_sleeps_loses_no_timer) {
  int before = maxprocs(4);
  for (int round = 0; round < 20; round++) {
    std::atomic<int> woken{0};
    for (int i = 1; i <= 8; i++) {
      go([&, i] {
        sleep_for(i * 300us);
        woken++;
      });
    }
    maxprocs(round % 2 == 0 ? 1 : 4);
    while (woken.load() != 8) std::this_thread::yield();
  }
  all_ended();
  maxprocs(before);
}

TEST(procs, may_be_changed_by_a_goroutine) {
  int before = maxprocs();
  std::atomic<int> seen{0};
  go([&] {
    maxprocs(5);
    yield();
    maxprocs(1);
    yield();
    seen = maxprocs(2);
  });
  until([&] { return seen != 0; });
  EXPECT_EQ(seen, 1);
  maxprocs(before);
  all_ended();
}

TEST(procs, come_to_rest) {
  all_ended();
  until([] { return sched().idle_count.load() == sched().procs.load() && sched().searching.load() == 0; });
}

}  // namespace
}  // namespace stray::runtime
