// The run queue is a FIFO of 256 for its owner; thieves take the older half from the head; every task leaves it exactly once.
#include "runtime/run_queue.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

namespace stray::runtime {
namespace {

constexpr std::uint32_t capacity = run_queue::capacity;

// The queue never looks into a task: numbers will do.
task* number(std::uintptr_t n) { return reinterpret_cast<task*>(n); }
std::uintptr_t value(task* t) { return reinterpret_cast<std::uintptr_t>(t); }

TEST(run_queue, is_first_in_first_out) {
  run_queue q;
  EXPECT_EQ(q.pop(), nullptr);
  for (std::uintptr_t i = 1; i <= 10; i++) EXPECT_TRUE(q.push(number(i)));
  EXPECT_EQ(q.size(), 10u);
  for (std::uintptr_t i = 1; i <= 10; i++) EXPECT_EQ(value(q.pop()), i);
  EXPECT_EQ(q.pop(), nullptr);
  EXPECT_EQ(q.size(), 0u);
}

TEST(run_queue, refuses_the_257th) {
  run_queue q;
  for (std::uintptr_t i = 1; i <= capacity; i++) ASSERT_TRUE(q.push(number(i)));
  EXPECT_FALSE(q.push(number(999)));
  EXPECT_EQ(value(q.pop()), 1u);
  EXPECT_TRUE(q.push(number(257)));
  EXPECT_FALSE(q.push(number(999)));
  for (std::uintptr_t i = 2; i <= 257; i++) EXPECT_EQ(value(q.pop()), i);
}

TEST(run_queue, keeps_its_order_around_the_ring) {
  run_queue q;
  std::uintptr_t in = 0, out = 0;
  for (int round = 0; round < 1000; round++) {
    for (int i = 0; i < 7 + round % 100 && in - out < capacity; i++) ASSERT_TRUE(q.push(number(++in)));
    for (int i = 0; i < 5 + round % 103 && out < in; i++) ASSERT_EQ(value(q.pop()), ++out);
    ASSERT_EQ(q.size(), in - out);
  }
  EXPECT_GT(in, 10 * capacity);
}

TEST(run_queue, a_thief_takes_the_older_half) {
  run_queue q;
  std::array<task*, capacity / 2> loot;
  EXPECT_EQ(q.steal(loot.data(), q.end()), 0u);
  q.push(number(1));
  EXPECT_EQ(q.steal(loot.data(), q.end()), 1u);
  EXPECT_EQ(value(loot[0]), 1u);
  for (std::uintptr_t i = 1; i <= 7; i++) q.push(number(i));
  ASSERT_EQ(q.steal(loot.data(), q.end()), 4u);
  for (std::uintptr_t i = 1; i <= 4; i++) EXPECT_EQ(value(loot[i - 1]), i);
  for (std::uintptr_t i = 5; i <= 7; i++) EXPECT_EQ(value(q.pop()), i);
}

TEST(run_queue, a_thief_takes_nothing_that_came_behind_the_end_it_has_seen) {
  run_queue q;
  std::array<task*, capacity / 2> loot;
  for (std::uintptr_t i = 1; i <= 3; i++) q.push(number(i));
  std::uint32_t seen = q.end();
  for (std::uintptr_t i = 4; i <= 10; i++) q.push(number(i));
  ASSERT_EQ(q.steal(loot.data(), seen), 3u) << "half of ten, but for the younger two";
  for (std::uintptr_t i = 1; i <= 3; i++) EXPECT_EQ(value(loot[i - 1]), i);
  EXPECT_EQ(q.steal(loot.data(), seen), 0u);
  EXPECT_EQ(value(q.pop()), 4u);
  EXPECT_EQ(q.steal(loot.data(), seen), 0u) << "its owner has passed the end";
  EXPECT_EQ(q.steal(loot.data(), q.end()), 3u);
}

TEST(run_queue, half_of_a_full_queue_fits_the_loot) {
  run_queue q;
  std::array<task*, capacity / 2> loot;
  for (std::uintptr_t i = 1; i <= capacity; i++) q.push(number(i));
  ASSERT_EQ(q.pop_half(loot.data()), capacity / 2);
  EXPECT_EQ(value(loot.back()), capacity / 2);
  EXPECT_EQ(value(q.pop()), capacity / 2 + 1);
  EXPECT_EQ(q.size(), capacity / 2 - 1);
}

// The owner pushes 1..n and pops now and then; thieves steal. Every number must come out once.
void each_comes_out_once(int thieves, std::uintptr_t n, bool owner_pops) {
  run_queue q;
  auto taken = std::make_unique<std::atomic<std::uint8_t>[]>(n + 1);
  std::atomic<std::uintptr_t> left{n};
  auto take = [&](task* t) {
    taken[value(t)].fetch_add(1);
    left.fetch_sub(1);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < thieves; i++) {
    threads.emplace_back([&] {
      std::array<task*, capacity / 2> loot;
      while (left.load() != 0) {
        std::uint32_t got = q.steal(loot.data(), q.end());
        for (std::uint32_t k = 0; k < got; k++) take(loot[k]);
        if (got == 0) std::this_thread::yield();
      }
    });
  }
  for (std::uintptr_t i = 1; i <= n; i++) {
    while (!q.push(number(i))) {
      std::array<task*, capacity / 2> half;
      std::uint32_t got = q.pop_half(half.data());
      for (std::uint32_t k = 0; k < got; k++) take(half[k]);
    }
    if (owner_pops && i % 3 == 0) {
      if (task* t = q.pop()) take(t);
    }
  }
  while (owner_pops && left.load() != 0) {
    task* t = q.pop();
    t != nullptr ? take(t) : std::this_thread::yield();
  }
  for (std::thread& t : threads) t.join();
  std::uintptr_t wrong = 0;
  for (std::uintptr_t i = 1; i <= n; i++) wrong += taken[i].load() != 1;
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(q.size(), 0u);
}
TEST(run_queue, one_thief) { each_comes_out_once(1, 30000, true); }
TEST(run_queue, three_thieves) { each_comes_out_once(3, 30000, true); }
TEST(run_queue, three_thieves_and_an_owner_who_only_pushes) { each_comes_out_once(3, 30000, false); }

}  // namespace
}  // namespace stray::runtime
