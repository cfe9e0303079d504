// One entry a block, wherever it lies in its segment.
#include "trace/trail.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <vector>

namespace stray::trace {
namespace {

TEST(trail, keeps_one_word_a_block) {
  bump memory;
  ASSERT_TRUE(memory.reserve(std::size_t{256} << 20));
  block_table blocks;
  ASSERT_TRUE(blocks.init(memory));
  const std::uintptr_t base = std::uintptr_t{7} << block_table::segment_shift;
  std::vector<std::uintptr_t> starts;
  for (std::uintptr_t at = base; at < base + 0x10000; at += 16) starts.push_back(at);  // every bit of 64 words
  for (std::uintptr_t at : {base + 0x20000, base + (std::uintptr_t{1} << block_table::segment_shift) - 32,
                            base + (std::uintptr_t{1} << block_table::segment_shift) + 64}) {
    starts.push_back(at);
  }
  for (std::uintptr_t at : starts) blocks.add_block(at, 16);
  trail t;
  ASSERT_TRUE(t.init(blocks, memory));
  EXPECT_EQ(t.of(base), 0u) << "nothing is known yet";
  for (std::uintptr_t at : starts) t.set(at, at * 3);
  for (std::uintptr_t at : starts) ASSERT_EQ(t.of(at), at * 3) << std::hex << at;
  t.set(base + 0x20000, trail_mark::register_of(4711));
  EXPECT_EQ(t.of(base + 0x20000), trail_mark::register_of(4711));
  EXPECT_LT(trail_mark::register_of(-1), trail_mark::orphan) << "no TID looks like another mark";
  EXPECT_TRUE(t.complete());
  munmap(reinterpret_cast<void*>(memory.where().lo), memory.where().size());
}

}  // namespace
}  // namespace stray::trace
