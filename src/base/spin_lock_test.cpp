// The spin lock excludes, hands on what was written, and lets a waiter sleep; the futex wakes one sleeper.
#include "base/spin_lock.h"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/sync_shim.h"

namespace stray::base {
namespace {

TEST(spin_lock, excludes) {
  spin_lock lock;
  long count = 0;  // guarded by lock
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int k = 0; k < 20000; k++) {
        lock.lock();
        count++;
        lock.unlock();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(count, 80000);
}

TEST(spin_lock, try_lock_answers) {
  spin_lock lock;
  EXPECT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.try_lock());
  std::thread([&] { EXPECT_FALSE(lock.try_lock()); }).join();
  lock.unlock();
  EXPECT_TRUE(lock.try_lock());
}

TEST(spin_lock, a_waiter_outlives_a_long_hold) {
  spin_lock lock;
  std::atomic<bool> waiting{false}, through{false};
  lock.lock();
  std::thread t([&] {
    waiting = true;
    lock.lock();
    through = true;
    lock.unlock();
  });
  while (!waiting) std::this_thread::yield();
  for (std::int64_t end = now_ns() + 2'000'000; now_ns() < end;) std::this_thread::yield();  // far beyond 96 rounds: it naps
  EXPECT_FALSE(through);
  lock.unlock();
  t.join();
  EXPECT_TRUE(through);
}

TEST(futex, returns_at_once_on_another_value_and_at_the_timeout) {
  std::atomic<std::uint32_t> word{3};
  futex_wait(word, 4);
  timespec t{0, 1'000'000};
  std::int64_t before = now_ns();
  while (now_ns() - before < 1'000'000) futex_wait(word, 3, &t);
  EXPECT_EQ(word, 3u);
}

TEST(futex, a_store_and_a_wake_end_a_wait) {
  std::atomic<std::uint32_t> word{0};
  std::thread t([&] {
    while (word.load() == 0) futex_wait(word, 0);
  });
  word.store(1);
  futex_wake(word, 1);
  t.join();
}

}  // namespace
}  // namespace stray::base
