// Goroutine stacks: classes of 64 KiB times a power of two, bound at the first run, used again; an overflow is told as what it is.
#include "runtime/stack.h"

#include <atomic>
#include <csignal>
#include <gtest/gtest.h>
#include <set>
#include <thread>
#include <vector>

#include <stray/go.hpp>
#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/fiber.h"
#include "runtime/task.h"
#include "runtime/test_waits.h"

namespace stray::runtime {
namespace {

constexpr std::size_t kib = 1024;

TEST(stack_class, is_the_smallest_that_holds_the_size) {
  EXPECT_EQ(stack_class_for(0), 0u);
  EXPECT_EQ(stack_class_for(1), 0u);
  EXPECT_EQ(stack_class_for(64 * kib), 0u);
  EXPECT_EQ(stack_class_for(64 * kib + 1), 1u);
  EXPECT_EQ(stack_class_for(128 * kib), 1u);
  EXPECT_EQ(stack_class_for(128 * kib + 1), 2u);
  EXPECT_EQ(stack_class_for(1024 * kib), 4u);
  EXPECT_EQ(stack_class_for(std::size_t{1} << 30), 14u);
  EXPECT_EQ(stack_class_for(~std::size_t{0}), stack_classes - 1);
  for (std::size_t bytes = 1; bytes <= std::size_t{1} << 30; bytes = bytes * 3 / 2 + 1) {
    unsigned c = stack_class_for(bytes);
    EXPECT_GE(stack_size_of(c), bytes);
    if (c > 0) {
      EXPECT_LT(stack_size_of(c - 1), bytes);
    }
  }
}

TEST(stack_binding, gives_each_task_its_own_and_takes_it_back) {
  std::vector<task> all(20);
  std::set<std::uintptr_t> seen, tops;
  for (unsigned c : {0u, 1u, 5u}) {
    seen.clear(), tops.clear();
    for (task& t : all) {
      ASSERT_TRUE(bind_stack(&t, c, nullptr));
      std::size_t above = stack_size_of(c) - (t.stack_hi - t.stack_lo);
      EXPECT_LT(above, 2048u);
      EXPECT_EQ(above % 64, 0u);
      tops.insert(above);
      EXPECT_EQ(t.stack_class, c);
      EXPECT_TRUE(seen.insert(t.stack_lo).second);
      *reinterpret_cast<volatile int*>(t.stack_hi - 8) = 1;
      *reinterpret_cast<volatile int*>(t.stack_lo + 4096) = 1;  // above the guard
    }
    EXPECT_GT(tops.size(), 4u) << "tops are staggered";
    std::uintptr_t last = all[7].stack_lo;
    for (task& t : all) {
      if (&t != &all[7]) release_stack(&t, nullptr);
    }
    release_stack(&all[7], nullptr);
    EXPECT_EQ(all[7].stack_lo, 0u);
    ASSERT_TRUE(bind_stack(&all[0], c, nullptr));
    EXPECT_EQ(all[0].stack_lo, last) << "the last one released is the hottest";
    release_stack(&all[0], nullptr);
  }
}

TEST(stack_binding, knows_the_owner_of_any_address) {
  task a, b;
  ASSERT_TRUE(bind_stack(&a, 2, nullptr));
  ASSERT_TRUE(bind_stack(&b, 2, nullptr));
  base::range extent;
  EXPECT_EQ(stack_owner(a.stack_lo, &extent), &a);
  EXPECT_EQ(extent.lo, a.stack_lo);
  EXPECT_EQ(extent.hi, a.stack_hi);
  EXPECT_EQ(stack_owner(a.stack_hi - 1, nullptr), &a);
  EXPECT_EQ(stack_owner(b.stack_lo + 100, nullptr), &b);
  int here = 0;
  EXPECT_EQ(stack_owner(reinterpret_cast<std::uintptr_t>(&here), nullptr), nullptr);
  EXPECT_TRUE(in_guard(a.stack_lo, &extent));
  EXPECT_TRUE(in_guard(a.stack_lo + 4095, nullptr));
  EXPECT_FALSE(in_guard(a.stack_lo + 4096, nullptr));
  std::uintptr_t lo = a.stack_lo;
  release_stack(&b, nullptr);
  pass_stack(&a, &b);
  EXPECT_EQ(a.stack_lo, 0u);
  EXPECT_EQ(b.stack_lo, lo);
  EXPECT_EQ(stack_owner(lo, nullptr), &b);
  release_stack(&b, nullptr);
  EXPECT_EQ(stack_owner(lo, nullptr), nullptr);
}

TEST(stack_binding, a_spare_one_is_taken_and_filled_first) {
  task a, b;
  spare_stack spare;
  ASSERT_TRUE(bind_stack(&a, 4, &spare));
  const std::uintptr_t lo = a.stack_lo;
  release_stack(&a, &spare);
  EXPECT_NE(spare.number, 0u);
  ASSERT_TRUE(bind_stack(&b, 5, &spare));
  EXPECT_NE(spare.number, 0u) << "of another class";
  release_stack(&b, &spare);
  ASSERT_TRUE(bind_stack(&a, 4, &spare));
  EXPECT_EQ(a.stack_lo, lo);
  EXPECT_EQ(spare.number, 0u);
  EXPECT_EQ(stack_owner(lo, nullptr), &a);
  release_stack(&a, nullptr);
}

// What a goroutine sees of its stack below itself.
struct below {
  std::uintptr_t stack_lo = 0;
  bool clean = false, cheap = false;
};
[[gnu::noinline]] void leave_something() {
  volatile unsigned char bytes[3000];
  for (volatile unsigned char& b : bytes) b = 0xee;
}
[[gnu::noinline]] below look_below() {
  const task* self = current_task();
  auto* here = static_cast<const unsigned char*>(__builtin_frame_address(0));
  auto* cleaned = reinterpret_cast<const unsigned char*>(self->stack_hi - 16 - entry_cleans);
  below seen{self->stack_lo, true, cleaned[-8] == 0xee};
  for (auto* p = cleaned; p < here - 512; p++) seen.clean = seen.clean && *p == 0;  // 512: of those that we have called
  return seen;
}

// Whether the stack is handed on, taken from the worker's spare one, or from the list of free ones.
TEST(stack_binding, shows_nothing_of_the_last_one) {
  if (fiber::own_stacks) GTEST_SKIP() << "the sanitizer's stacks have another layout";
  const int before = maxprocs(1);
  for (int between : {0, 1, 2}) {
    const std::size_t size = smallest_stack << 3;
    std::uintptr_t first = 0;
    below seen;
    go({.stack_size = size}, [&] { leave_something(), first = current_task()->stack_lo; });
    if (between != 0) all_ended();
    if (between == 2) go([&] { leave_something(); }), all_ended();  // of another class: it is the spare one now
    go({.stack_size = size}, [&] { seen = look_below(); });
    all_ended();
    EXPECT_EQ(seen.stack_lo, first) << between;
    EXPECT_TRUE(seen.clean) << between;
    EXPECT_TRUE(seen.cheap) << "no more than needed is paid for " << between;
  }
  maxprocs(before);
}

TEST(stack_binding, is_safe_from_many_threads) {
  std::atomic<int> clashes{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      task mine[3];
      for (int round = 0; round < 500; round++) {
        for (task& t : mine) clashes += !bind_stack(&t, 3, nullptr) || stack_owner(t.stack_lo, nullptr) != &t;
        for (task& t : mine) release_stack(&t, nullptr);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(clashes, 0);
}

// On goroutines.
template <class F>
void on_goroutine(const go_options& options, F f) {
  std::atomic<bool> done{false};
  go(options, [&] {
    f();
    done = true;
  });
  while (!done.load()) yield();
}

[[gnu::noinline]] long touch_frame(std::size_t seed) {
  volatile char frame[100'000];
  for (std::size_t i = 0; i < sizeof frame; i += 512) frame[i] = static_cast<char>(seed + i);
  return frame[seed % sizeof frame];
}
[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[256] = {};
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? frame[0] : recurse(depth - 1) + frame[0];
}

TEST(goroutine_stack, is_as_large_as_asked_for) {
  std::atomic<std::size_t> size{0};
  auto measure = [&] {
    base::range extent;
    int here = 0;
    if (stack_owner(reinterpret_cast<std::uintptr_t>(&here), &extent) != nullptr) size = extent.size();
  };
  on_goroutine({}, measure);
  EXPECT_EQ(size, 64 * kib);
  on_goroutine({.stack_size = 65 * kib}, measure);
  EXPECT_EQ(size, 128 * kib);
  on_goroutine({.stack_size = 1024 * kib}, measure);
  EXPECT_EQ(size, 1024 * kib);
}

TEST(goroutine_stack, large_holds_large_frames_and_deep_recursion) {
  std::atomic<long> sum{0};
  on_goroutine({.stack_size = 1024 * kib}, [&] { sum = touch_frame(1) + 1; });
  EXPECT_NE(sum, 0);
  on_goroutine({.stack_size = std::size_t{64} << 20}, [&] { sum = recurse(50'000); });
}

TEST(goroutine_stack, burst_of_short_goroutines_uses_few) {
  constexpr int n = 5000;
  std::atomic<int> ended{0};
  std::size_t before = stack_views()[0].used.load();
  on_goroutine({}, [&] {
    for (int i = 0; i < n; i++) {
      go([&] { ended++; });
      if (i % 50 == 49) yield();
    }
  });
  while (ended.load() != n) yield();
  EXPECT_LT(stack_views()[0].used.load() - before, 200u);
  all_ended();
}

TEST(goroutine_stack, overflow_is_told_and_ends_the_process_with_2) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      on_goroutine({}, [] { recurse(1'000'000'000); }), testing::ExitedWithCode(2),
      "fatal error: stack overflow\n\ngoroutine [0-9]+: stack overflow, 64 KiB; raise it by go\\(\\{.stack_size=...\\}\\)");
  EXPECT_EXIT(on_goroutine({.stack_size = 200 * kib}, [] { recurse(1'000'000'000); }), testing::ExitedWithCode(2),
              "stack overflow, 256 KiB");
}

// One guard page is stepped over by a frame larger than it, but for -fstack-clash-protection, which touches every page.
TEST(goroutine_stack, overflow_by_one_large_frame_is_told_too) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(on_goroutine({}, [] { touch_frame(1); }), testing::ExitedWithCode(2), "stack overflow, 64 KiB");
}

TEST(other_faults, end_the_process_as_without_us) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto fault = [] {
    on_goroutine({}, [] {
      volatile std::uintptr_t nowhere = 64;
      *reinterpret_cast<volatile int*>(nowhere) = 1;
    });
  };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  EXPECT_DEATH(fault(), "SEGV");
#else
  EXPECT_EXIT(fault(), testing::KilledBySignal(SIGSEGV), "");
#endif
}

}  // namespace
}  // namespace stray::runtime
