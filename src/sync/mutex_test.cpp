// The mutex excludes, hands on what was written, lets nobody starve, and ends the process when it is unlocked by somebody else.
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using stray::testing::until_parked;
using ::testing::ExitedWithCode;

static_assert(sizeof(mutex) == 8 && !std::is_copy_constructible_v<mutex>);
constinit mutex global;

TEST(mutex_lock, works_with_the_standard_guards) {
  mutex m;
  { std::lock_guard guard(m); }
  std::unique_lock lock(m);
  EXPECT_TRUE(lock.owns_lock());
  lock.unlock();
  { std::scoped_lock both(m, global); }
  std::unique_lock tried(global, std::try_to_lock);
  EXPECT_TRUE(tried.owns_lock());
}

TEST(mutex_lock, try_lock_answers) {
  mutex m;
  EXPECT_TRUE(m.try_lock());
  EXPECT_FALSE(m.try_lock());  // not recursive
  std::atomic<int> answer{-1};
  go([&] { answer = m.try_lock(); });
  until([&] { return answer != -1; });
  EXPECT_EQ(answer, 0);
  m.unlock();
  go([&] {
    answer = m.try_lock() ? 2 : 3;
    m.unlock();
  });
  all_ended();
  EXPECT_EQ(answer, 2);
}

TEST(mutex_lock, waiters_come_in_one_by_one_in_their_order) {
  mutex m;
  std::vector<int> order;  // guarded by m
  m.lock();
  for (int i = 0; i < 5; i++) {
    go([&, i] {
      std::lock_guard guard(m);
      order.push_back(i);
    });
    until_parked(static_cast<std::size_t>(i) + 1);
  }
  m.unlock();
  all_ended();
  std::lock_guard guard(m);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

class contended : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = maxprocs(GetParam()); }
  void TearDown() override {
    all_ended();
    maxprocs(before_);
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, contended, ::testing::Values(1, 2, 4), [](const auto& p) { return std::to_string(p.param); });

TEST_P(contended, counts_right) {
  mutex m;
  long count = 0;  // guarded by m
  wait_group group;
  std::vector<std::thread> threads;
  auto body = [&](int kind) {
    for (int i = 0; i < 3000; i++) {
      if (kind == 1 && m.try_lock()) {
        count++;
        m.unlock();
        continue;
      }
      std::lock_guard guard(m);
      count++;
      if (kind == 2 && i % 64 == 0) yield();  // parks while it holds the lock
    }
  };
  for (int g = 0; g < 8; g++) group.go([&, g] { body(g % 3); });
  for (int t = 0; t < 2; t++) threads.emplace_back([&, t] { body(t); });
  group.wait();
  for (std::thread& t : threads) t.join();
  std::lock_guard guard(m);
  EXPECT_EQ(count, 30000);
  all_ended();
}

TEST_P(contended, many_mutexes_of_one_cache_line) {
  mutex m[8];
  long count[8] = {};
  wait_group group;
  for (unsigned g = 0; g < 8; g++) {
    group.go([&, g] {
      for (unsigned i = 0; i < 2000; i++) {
        unsigned k = (i * (g + 1)) % 8;
        std::lock_guard guard(m[k]);
        count[k]++;
      }
    });
  }
  group.wait();
  long sum = 0;
  for (unsigned k = 0; k < 8; k++) {
    std::lock_guard guard(m[k]);
    sum += count[k];
  }
  EXPECT_EQ(sum, 16000);
  all_ended();
}

// While others hammer the lock, one that wants it now and then gets it: after 1 ms of waiting it is handed over.
TEST_P(contended, lets_nobody_starve) {
  mutex m;
  std::atomic<bool> stop{false};
  std::atomic<long> acquired{0}, longest{0};
  std::atomic<int> turns{0};
  for (int g = 0; g < 4; g++) {
    go([&] {
      for (int i = 1; !stop.load(); i++) {
        {
          std::lock_guard guard(m);
          acquired++;
          for (int k = 0; k < 20; k++) acquired.load();
        }
        if (i % 32 == 0) yield();
      }
    });
  }
  go([&] {
    for (int i = 0; i < 100; i++) {
      long before = acquired.load();
      m.lock();
      longest = std::max(longest.load(), acquired.load() - before);
      m.unlock();
      turns++;
      yield();
    }
    stop = true;
  });
  all_ended();
  EXPECT_EQ(turns, 100);
  EXPECT_LT(longest, 1'000'000) << "acquisitions by others during one wait";
}

TEST_P(contended, every_waiter_of_a_long_held_lock_gets_it) {
  mutex m;
  std::atomic<int> through{0};
  m.lock();
  for (int i = 0; i < 50; i++) {
    go([&] {
      std::lock_guard guard(m);
      through++;
      sleep_for(50us);  // holds it across a park
    });
  }
  until_parked(50);
  m.unlock();
  until([&] { return through == 50; });
  all_ended();
}

TEST(mutex_lock, may_be_destroyed_by_who_locked_it_last) {
  for (int round = 0; round < 500; round++) {
    auto m = std::make_unique<mutex>();
    std::atomic<bool> up{false};
    m->lock();
    go([&] {
      up = true;
      m->lock();
      m->unlock();
      m.reset();
      up = false;
    });
    until([&] { return up.load(); });
    m->unlock();
    until([&] { return !up.load(); });
  }
  all_ended();
}

class misuse : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(misuse, unlock_of_what_nobody_holds_ends_the_process) {
  auto on_goroutine = [] {
    go([] {
      mutex m;
      m.unlock();
    });
    until([] { return false; });
  };
  auto twice = [] {
    mutex m;
    m.lock();
    m.unlock();
    m.unlock();
  };
  EXPECT_EXIT(mutex().unlock(), ExitedWithCode(2), "^fatal error: sync: unlock of unlocked mutex\n");
  EXPECT_EXIT(twice(), ExitedWithCode(2), "^fatal error: sync: unlock of unlocked mutex\n");
  EXPECT_EXIT(on_goroutine(), ExitedWithCode(2), "^fatal error: sync: unlock of unlocked mutex\n");
}

TEST_F(misuse, unlock_by_another_ends_the_process) {
  auto by_goroutine = [] {
    mutex m;
    m.lock();
    go([&] { m.unlock(); });
    until([] { return false; });
  };
  auto by_thread = [] {
    mutex m;
    go([&] {
      m.lock();
      std::thread([&] { m.unlock(); }).join();
    });
    until([] { return false; });
  };
  EXPECT_EXIT(by_goroutine(), ExitedWithCode(2), "^fatal error: sync: unlock by a goroutine that does not hold the mutex\n");
  EXPECT_EXIT(by_thread(), ExitedWithCode(2), "^fatal error: sync: unlock by a goroutine that does not hold the mutex\n");
}

TEST_F(misuse, locking_twice_blocks_for_ever) {
  auto body = [] {
    std::atomic<int> through{0};
    go([&] {
      mutex m;
      m.lock();
      m.lock();
      through++;
    });
    until_parked(1);
    std::_Exit(through);
  };
  EXPECT_EXIT(body(), ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace stray
