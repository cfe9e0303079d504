// Who called the caller of go: two steps by call frame information, whatever the table holds, and never a read outside of the stack.
#include "runtime/creators.h"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include <stray/go.hpp>
#include "runtime/current.h"
#include "runtime/test_waits.h"

namespace stray::runtime {
namespace {

#define KEEP_FRAME asm volatile("" ::: "memory")  // the call before it is none at the end of the function

// The record of the goroutine that was started last by who calls this: it still waits for its turn, or for `go_on`.
struct started_by {
  std::uintptr_t created_by, callers[task::most_callers];
};
std::atomic<bool> noted{false};
started_by last;

void note() {
  const task* self = current_task();
  last = {self->created_by, {self->callers[0], self->callers[1]}};
  noted = true;
}
started_by wait_for_note() {
  until([] { return noted.load(); });
  noted = false;
  all_ended();
  return last;
}

// Each stores the address that it returns to.
std::uintptr_t inner_returns, middle_returns;
[[gnu::noinline]] void inner() {
  inner_returns = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  go(note);
  KEEP_FRAME;
}
[[gnu::noinline]] void middle() {
  middle_returns = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  inner();
  KEEP_FRAME;
}
volatile std::size_t some = 100;
[[gnu::noinline]] void middle_with_room() {
  volatile char* room = static_cast<volatile char*>(__builtin_alloca(some));
  room[0] = 1;
  middle_returns = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  inner();
  KEEP_FRAME;
}

void expect_both(const started_by& s) {
  EXPECT_NE(s.created_by, 0u);
  EXPECT_EQ(s.callers[0], inner_returns);
  EXPECT_EQ(s.callers[1], middle_returns);
}

TEST(creators, are_kept_of_main_a_thread_and_a_goroutine) {
  middle();
  expect_both(wait_for_note());
  std::thread([] {
    middle();
    expect_both(wait_for_note());
  }).join();
  go([] { middle(); });
  expect_both(wait_for_note());
}

TEST(creators, are_kept_beyond_a_frame_of_any_size) {
  for (std::size_t size : {1, 100, 3000}) {
    some = size;
    middle_with_room();
    expect_both(wait_for_note());
  }
}

TEST(creators, end_with_the_stack_that_they_stand_on) {
  maxprocs();  // starts the runtime
  middle();
  started_by s = wait_for_note();
  std::uintptr_t words[8] = {}, out[task::most_callers] = {1, 1};
  const auto at = reinterpret_cast<std::uintptr_t>(words);
  callers_of(s.created_by, at, at, {at + 8, at + 64}, out);
  EXPECT_EQ(out[0], 0u) << "not of this stack";
  for (std::size_t bytes = 8; bytes <= sizeof words; bytes += 8) {
    for (std::uintptr_t rbp : {std::uintptr_t{0}, at + 1, at + 16, at + bytes, ~std::uintptr_t{0}, std::uintptr_t{1} << 63}) {
      callers_of(s.created_by, at, rbp, {at, at + bytes}, out);
      EXPECT_EQ(out[0], 0u) << "nothing but zeros lies there";
      EXPECT_EQ(out[1], 0u);
    }
  }
}

TEST(creators, of_nonsense_are_none) {
  maxprocs();  // starts the runtime
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  std::uintptr_t out[task::most_callers];
  for (std::uintptr_t pc :
       {std::uintptr_t{0}, std::uintptr_t{1}, here, ~std::uintptr_t{0}, std::uintptr_t{1} << 47, base::address_mask}) {
    for (int i = 0; i < 3; i++) {  // found, and remembered
      callers_of(pc, here, here, stack_of_thread(), out);
      EXPECT_EQ(out[0], 0u) << pc;
      EXPECT_EQ(out[1], 0u) << pc;
    }
  }
}

// Different addresses of one place of the table: more than it has room for.
TEST(creators, are_none_where_the_table_is_full) {
  maxprocs();  // starts the runtime
  constexpr std::uintptr_t base_address = std::uintptr_t{1} << 40;
  for (std::uintptr_t i = 0; i < 100; i++) {
    const std::uintptr_t tag = (base_address >> 10) + i;
    EXPECT_EQ(steps.find(tag << 10 | ((tag ^ 77) & 1023)) & ((1U << step_table::rule_bits) - 1), 0u);
  }
}

TEST(creators, are_the_same_whoever_asks_first) {
  maxprocs();  // starts the runtime
  std::vector<std::thread> all;
  for (int i = 0; i < 8; i++) {
    all.emplace_back([] {
      std::uintptr_t here = reinterpret_cast<std::uintptr_t>(&inner), first = steps.find(here + 40);
      for (int n = 0; n < 10000; n++) ASSERT_EQ(steps.find(here + 40), first);
    });
  }
  for (std::thread& t : all) t.join();
}

TEST(creators, of_the_first_frame_of_a_goroutine_end_in_the_library) {
  go([] { go(note); });
  started_by s = wait_for_note();
  EXPECT_NE(s.created_by, 0u);
  EXPECT_NE(s.callers[0], 0u) << "what runs the closure";
}

}  // namespace
}  // namespace stray::runtime
