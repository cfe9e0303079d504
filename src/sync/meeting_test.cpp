// once, semaphore, latch and barrier: who waits goes on when it should and not before, in its order, on goroutines and threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <stray/barrier.hpp>
#include <stray/go.hpp>
#include <stray/latch.hpp>
#include <stray/mutex.hpp>
#include <stray/once.hpp>
#include <stray/semaphore.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using stray::testing::until_parked;

static_assert(sizeof(once) == 8 && sizeof(semaphore) == 8 && sizeof(latch) == 8 && sizeof(barrier<>) == 8);
constinit once global_once;
constinit semaphore global_semaphore(1);
constinit latch global_latch(0);
constinit barrier<> global_barrier(1);

// On goroutines, on threads, and at 1, 2, 4 and 8 workers.
class meeting : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = maxprocs(GetParam()); }
  void TearDown() override {
    all_ended();
    maxprocs(before_);
  }
  // n bodies, every third on a thread.
  template <class F>
  static void on_all(int n, F body) {
    std::vector<std::thread> threads;
    wait_group group;
    for (int i = 0; i < n; i++) {
      if (i % 3 == 2) {
        threads.emplace_back(body, i);
      } else {
        group.go([body, i] { body(i); });
      }
    }
    group.wait();
    for (std::thread& t : threads) t.join();
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, meeting, ::testing::Values(1, 2, 4, 8), [](const auto& p) { return std::to_string(p.param); });

// --- once ---------------------------------------------------------------------------------------------------------------------------

TEST_P(meeting, once_runs_one_function) {
  for (int round = 0; round < 50; round++) {
    once o;
    int ran = 0;  // plain: call orders it
    std::atomic<int> wrong{0};
    on_all(12, [&](int) {
      o.call([&] {
        yield();
        ran++;
      });
      if (ran != 1) wrong++;
    });
    ASSERT_EQ(wrong, 0);
  }
}

TEST_P(meeting, once_that_throws_is_tried_by_the_next) {
  once o;
  std::atomic<int> tries{0}, threw{0}, returned{0};
  on_all(9, [&](int) {
    try {
      o.call([&] {
        yield();
        if (++tries < 4) throw std::runtime_error("not yet");
      });
      returned++;
    } catch (const std::runtime_error&) {
      threw++;
    }
  });
  EXPECT_EQ(tries, 4);
  EXPECT_EQ(threw, 3);
  EXPECT_EQ(returned, 6);
  o.call([] { std::abort(); });
}

TEST(once_call, takes_move_only_functions_and_member_pointers) {
  int got = 0;
  global_once.call([p = std::make_unique<int>(7), &got]() mutable { got = *p; });
  EXPECT_EQ(got, 7);
}

TEST(once_call, those_who_wait_after_a_throw_come_in_their_order) {
  once o;
  std::vector<int> order;  // one runs at a time
  semaphore open(0);
  go([&] {
    EXPECT_THROW(o.call([&] {
      open.acquire();
      throw std::runtime_error("first");
    }),
                 std::runtime_error);
  });
  until_parked(1);
  for (int i = 0; i < 4; i++) {
    go([&, i] {
      try {
        o.call([&] {
          order.push_back(i);
          if (i < 2) throw i;
        });
      } catch (int) {
      }
    });
    until_parked(static_cast<std::size_t>(i) + 2);
  }
  open.release();
  all_ended();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

// --- semaphore ----------------------------------------------------------------------------------------------------------------------

TEST(semaphore_permits, are_counted) {
  semaphore s(2);
  EXPECT_TRUE(s.try_acquire());
  s.acquire();
  EXPECT_FALSE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire_for(0ms));
  s.release(3);
  EXPECT_TRUE(s.try_acquire_for(1h));
  s.acquire();
  s.acquire();
  EXPECT_FALSE(s.try_acquire());
  s.release(0);
  EXPECT_FALSE(s.try_acquire());
}

TEST(semaphore_permits, go_to_the_waiters_in_their_order_and_nobody_overtakes) {
  semaphore s(0);
  mutex guard;
  std::vector<int> order;
  for (int i = 0; i < 5; i++) {
    go([&, i] {
      s.acquire();
      std::lock_guard lock(guard);
      order.push_back(i);
    });
    until_parked(static_cast<std::size_t>(i) + 1);
  }
  int before = maxprocs(1);  // those that are woken run one after the other
  for (int i = 0; i < 5; i++) {
    s.release();
    EXPECT_FALSE(s.try_acquire());  // it went to a waiter, whether that one has run or not
    until([&] { return num_goroutine() == static_cast<std::size_t>(4 - i); });
  }
  maxprocs(before);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(semaphore_permits, a_wait_may_time_out) {
  semaphore s(0);
  auto began = steady::now();
  EXPECT_FALSE(s.try_acquire_for(5ms));
  EXPECT_GE(steady::now() - began, 5ms);
  std::atomic<int> got{0};
  go([&] { got += s.try_acquire_for(2ms) ? 1 : 0; });
  all_ended();
  EXPECT_EQ(got, 0);
  s.release();
  EXPECT_TRUE(s.try_acquire());
}

TEST(semaphore_permits, one_that_times_out_lets_the_next_go_on) {
  testing::fake_clock clock;
  semaphore s(0);
  std::atomic<int> first{-1}, second{-1};
  go([&] { first = s.try_acquire_for(10s); });
  until_parked(1);
  go([&] {
    s.acquire();
    second = 1;
  });
  until_parked(2);
  clock.advance(9s);
  EXPECT_EQ(first, -1);
  clock.advance(1s);
  until([&] { return first != -1; });
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, -1);
  s.release();
  all_ended();
  EXPECT_EQ(second, 1);
  EXPECT_FALSE(s.try_acquire());
}

TEST(semaphore_permits, misuse_throws_and_changes_nothing) {
  EXPECT_EQ(panic_of([] { semaphore s(-1); }), "sync: negative Semaphore count");
  EXPECT_EQ(panic_of([] { semaphore s((semaphore::max)() + 1); }), "sync: Semaphore count overflow");
  semaphore s(1);
  EXPECT_EQ(panic_of([&] { s.release(-1); }), "sync: negative Semaphore release");
  EXPECT_EQ(panic_of([&] { s.release((semaphore::max)()); }), "sync: Semaphore count overflow");
  EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
  EXPECT_TRUE(global_semaphore.try_acquire());
}

TEST_P(meeting, semaphore_lets_so_many_in) {
  semaphore s(3);
  std::atomic<int> inside{0}, most{0}, count{0};
  on_all(12, [&](int who) {
    for (int i = 0; i < 200; i++) {
      if (who % 4 == 0) {
        while (!s.try_acquire_for(50us)) {
        }
      } else {
        s.acquire();
      }
      int now = ++inside, seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      if (i % 8 == 0) yield();
      count++;
      inside--;
      s.release();
    }
  });
  EXPECT_EQ(count, 2400);
  EXPECT_LE(most, 3);
  for (int i = 0; i < 3; i++) EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
}

TEST_P(meeting, semaphore_may_be_destroyed_right_after_acquire) {
  for (int round = 0; round < 500; round++) {
    auto s = std::make_unique<semaphore>(0);
    go([p = s.get()] { p->release(); });
    s->acquire();
    s.reset();
  }
}

// --- latch --------------------------------------------------------------------------------------------------------------------------

TEST(latch_counter, goes_down_to_zero) {
  latch l(3);
  EXPECT_FALSE(l.try_wait());
  l.count_down(2);
  l.count_down(0);
  EXPECT_FALSE(l.try_wait());
  l.arrive_and_wait();
  EXPECT_TRUE(l.try_wait());
  l.wait();
  l.arrive_and_wait(0);
  global_latch.wait();
}

TEST(latch_counter, misuse_throws_and_changes_nothing) {
  EXPECT_EQ(panic_of([] { latch l(-1); }), "sync: negative Latch counter");
  EXPECT_EQ(panic_of([] { latch l((latch::max)() + 1); }), "sync: Latch counter overflow");
  latch l(2);
  EXPECT_EQ(panic_of([&] { l.count_down(3); }), "sync: negative Latch counter");
  EXPECT_EQ(panic_of([&] { l.count_down(-1); }), "sync: Latch counted down by a negative number");
  EXPECT_EQ(panic_of([&] { l.arrive_and_wait(3); }), "sync: negative Latch counter");
  l.arrive_and_wait(2);
}

TEST_P(meeting, latch_holds_up_all_until_all_have_come) {
  for (int round = 0; round < 50; round++) {
    latch l(9);
    std::array<int, 9> data{};  // plain: the latch orders it
    std::atomic<int> wrong{0};
    on_all(9, [&](int who) {
      data[static_cast<std::size_t>(who)] = 1;
      if (who % 2 == 0) {
        l.arrive_and_wait();
      } else {
        l.count_down();
        l.wait();
      }
      if (std::count(data.begin(), data.end(), 1) != 9) wrong++;
    });
    ASSERT_EQ(wrong, 0);
  }
}

TEST_P(meeting, latch_may_be_destroyed_right_after_wait) {
  for (int round = 0; round < 500; round++) {
    auto l = std::make_unique<latch>(2);
    for (int i = 0; i < 2; i++) go([p = l.get()] { p->count_down(); });
    l->wait();
    l.reset();
  }
}

// --- barrier ------------------------------------------------------------------------------------------------------------------------

TEST(barrier_phase, ends_when_all_have_arrived) {
  int completed = 0;
  barrier b(3, [&completed]() noexcept { completed++; });
  auto first = b.arrive(2);
  EXPECT_EQ(completed, 0);
  auto last = b.arrive();
  EXPECT_EQ(completed, 1);
  b.wait(std::move(first));
  b.wait(std::move(last));
  b.arrive_and_drop();  // two from the next phase on
  b.arrive_and_drop();  // one
  b.arrive_and_drop();  // none
  EXPECT_EQ(completed, 2);
  EXPECT_EQ(panic_of([&] { b.arrive_and_wait(); }), "sync: more Barrier arrivals than expected");
  for (int i = 0; i < 1000; i++) global_barrier.arrive_and_wait();  // the phase number wraps
}

TEST(barrier_phase, misuse_throws_and_changes_nothing) {
  EXPECT_EQ(panic_of([] { barrier<> b(-1); }), "sync: negative Barrier count");
  EXPECT_EQ(panic_of([] { barrier<> b((barrier<>::max)() + 1); }), "sync: Barrier count overflow");
  barrier<> b(2);
  EXPECT_EQ(panic_of([&] { (void)b.arrive(0); }), "sync: Barrier arrival of less than one");
  EXPECT_EQ(panic_of([&] { (void)b.arrive(3); }), "sync: more Barrier arrivals than expected");
  (void)b.arrive();
  b.arrive_and_wait();
}

TEST_P(meeting, barrier_keeps_all_in_step) {
  constexpr int n = 7, phases = 200;
  std::array<int, n> at{};  // plain: the barrier orders it; written before the first meeting of a phase, read before the second
  int completed = 0;
  std::atomic<int> wrong{0};
  auto all_at = [&](int phase) { return std::count(at.begin(), at.end(), phase) == n; };
  barrier b(n, [&]() noexcept {
    completed++;
    if (!all_at((completed + 1) / 2)) wrong++;
  });
  on_all(n, [&](int who) {
    for (int phase = 1; phase <= phases; phase++) {
      at[static_cast<std::size_t>(who)] = phase;
      if (who % 2 == 0) {
        b.wait(b.arrive());
      } else {
        b.arrive_and_wait();
      }
      if (completed != 2 * phase - 1 || !all_at(phase)) wrong++;
      b.arrive_and_wait();
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(completed, 2 * phases);
}

TEST_P(meeting, barrier_whose_completion_function_blocks_and_from_which_all_drop_out) {
  constexpr int n = 6;
  semaphore beat(0);
  std::atomic<int> completed{0};
  barrier b(n, [&]() noexcept {
    go([&beat] { beat.release(); });
    beat.acquire();
    completed++;
  });
  std::atomic<int> meetings{0};
  on_all(n, [&](int who) {
    for (int i = 0; i < who; i++) {
      b.arrive_and_wait();
      meetings++;
    }
    b.arrive_and_drop();
  });
  EXPECT_EQ(meetings, 15);
  EXPECT_EQ(completed, n);
}

TEST_P(meeting, barrier_may_be_destroyed_after_its_waits) {
  for (int round = 0; round < 500; round++) {
    auto b = std::make_unique<barrier<>>(2);
    go([p = b.get()] { p->arrive_and_drop(); });
    b->arrive_and_wait();
    b.reset();
  }
}

}  // namespace
}  // namespace stray
