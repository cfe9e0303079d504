// Where stacks of OS threads end is read once for a collection, and again for who waits since then.
#include "leak/goroutines/stacks.h"

#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/clock.h"

namespace stray::leak {
namespace {

constexpr std::size_t size = 1 << 16;

std::uintptr_t map() {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (at == MAP_FAILED) std::abort();
  mprotect(at, 4096, PROT_NONE);
  mprotect(static_cast<char*>(at) + size - 4096, 4096, PROT_NONE);
  return reinterpret_cast<std::uintptr_t>(at);
}

TEST(thread_stacks, the_end_of_the_mapping) {
  thread_stacks stacks;
  const std::uintptr_t at = map();
  EXPECT_EQ(stacks.end_of(at + 8192, 1), at + size - 4096);
  EXPECT_EQ(stacks.end_of(at + 4096, 1), at + size - 4096);
  munmap(reinterpret_cast<void*>(at), size);
}

TEST(thread_stacks, are_read_once_for_those_who_waited_before) {
  thread_stacks stacks;
  const std::uintptr_t first = map();
  const std::int64_t before = base::now_ns();
  EXPECT_EQ(stacks.end_of(first + 8192, before), first + size - 4096);
  munmap(reinterpret_cast<void*>(first), size);
  EXPECT_EQ(stacks.end_of(first + 8192, before), first + size - 4096) << "not read again";
  EXPECT_NE(stacks.end_of(first + 8192, base::now_ns()), first + size - 4096) << "read again";
}

TEST(thread_stacks, what_nobody_has_mapped_has_no_stack) {
  thread_stacks stacks;
  EXPECT_EQ(stacks.end_of(64, 1), 64U);
  EXPECT_EQ(stacks.end_of(~std::uintptr_t{7}, 1), ~std::uintptr_t{7});
}

TEST(thread_stacks, also_of_main) {
  thread_stacks stacks;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  EXPECT_GT(stacks.end_of(here, 1), here);
}

}  // namespace
}  // namespace stray::leak
