// A heap that nobody understands: nothing is a block, everything a root, and the report says so.
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <sys/mman.h>

#include "trace/heap_source.h"
#include "trace/image.h"

namespace stray::trace {
namespace {

TEST(heap_unknown, is_blind_and_says_whose_fault_it_is) {
  auto log = std::make_unique<note_log>();
  bump memory;
  ASSERT_TRUE(memory.reserve(std::size_t{64} << 20));
  auto in = std::make_unique<image>();
  in->memory = &memory;
  in->notes = log.get();
  ASSERT_TRUE(in->blocks.init(memory));
  heap_facts facts;
  heap_sources[heap_unknown].walk(*in, facts, {});
  facts.allocator[0] = 'j';
  heap_sources[heap_unknown].walk(*in, facts, {});
  EXPECT_FALSE(in->heap_known);
  EXPECT_EQ(in->blocks.blocks(), 0u);
  EXPECT_EQ(in->claimed.size(), 0u);
  ASSERT_EQ(log->used, 2u);
  EXPECT_STREQ(log->notes[0].line, "tracer blind: allocator unknown");
  EXPECT_STREQ(log->notes[1].line, "tracer blind: allocator unknown (j)");
  munmap(reinterpret_cast<void*>(memory.where().lo), memory.where().size());
}

TEST(block_table, finds_the_start_below_across_a_whole_segment) {
  bump memory;
  ASSERT_TRUE(memory.reserve(std::size_t{64} << 20));
  block_table t;
  ASSERT_TRUE(t.init(memory));
  const std::uintptr_t base = std::uintptr_t{7} << block_table::segment_shift,
                       end = base + (std::uintptr_t{1} << block_table::segment_shift);
  const std::uintptr_t starts[] = {base + 0x10,       base + 0x410, base + (64 << 10), base + (4 << 20) + 0x3f0,
                                   base + (40 << 20), end - 0x20};
  t.add_block(starts[1], 0x20);
  EXPECT_EQ(t.find(starts[0]).block, 0u) << "nothing starts below";
  for (std::uintptr_t s : starts) t.add_block(s, 0x20);
  for (std::size_t i = 0; i + 1 < std::size(starts); i++) {
    for (std::uintptr_t a : {starts[i], starts[i] + 15, (starts[i] + starts[i + 1]) / 2, starts[i + 1] - 1}) {
      EXPECT_EQ(t.find(a).block, starts[i]) << std::hex << a - base;
    }
  }
  t.erase({starts[2], starts[4] + 1});
  EXPECT_EQ(t.find(starts[5] - 1).block, starts[1]);
  t.erase({starts[0], starts[1] + 1});
  EXPECT_EQ(t.find(starts[5] - 1).block, 0u);
  munmap(reinterpret_cast<void*>(memory.where().lo), memory.where().size());
}

TEST(block_table, attributes_addresses_to_the_start_below) {
  bump memory;
  ASSERT_TRUE(memory.reserve(std::size_t{64} << 20));
  block_table t;
  ASSERT_TRUE(t.init(memory));
  const std::uintptr_t base = std::uintptr_t{7} << block_table::segment_shift;
  t.add_block(base + 0x1010, 0x40);
  t.add_free(base + 0x1050, 0x2000);
  t.add_block(base + 0x3050, std::size_t{130} << 20);  // over two segment borders
  t.add_end(base + 0x3050 + (std::size_t{130} << 20));
  EXPECT_EQ(t.blocks(), 2u);
  EXPECT_EQ(t.find(base + 0x1000).block, 0u);
  EXPECT_EQ(t.find(base + 0x1010).block, base + 0x1010);
  EXPECT_EQ(t.find(base + 0x104f).block, base + 0x1010);
  EXPECT_EQ(t.find(base + 0x2fff).block, base + 0x1050);
  EXPECT_FALSE(t.in_use(base + 0x1050));
  EXPECT_TRUE(t.marked(base + 0x1050)) << "free starts are marked from the beginning";
  EXPECT_EQ(t.find(base + 0x3050 + (std::size_t{100} << 20)).block, base + 0x3050);
  EXPECT_EQ(t.find(base + 0x3050 + (std::size_t{130} << 20) - 1).block, base + 0x3050);
  EXPECT_NE(t.find(base + 0x3050 + (std::size_t{130} << 20)).block, base + 0x3050);
  EXPECT_EQ(t.find(std::uintptr_t{1} << 46).block, 0u);
  EXPECT_TRUE(t.set_free(base + 0x1010));
  EXPECT_FALSE(t.set_free(base + 0x1010));
  EXPECT_FALSE(t.set_free(base + 0x1020));
  t.erase({base + 0x1000, base + 0x3070 + (std::size_t{130} << 20)});
  EXPECT_EQ(t.blocks(), 0u);
  EXPECT_EQ(t.find(base + 0x3050 + (std::size_t{100} << 20)).block, 0u);
  munmap(reinterpret_cast<void*>(memory.where().lo), memory.where().size());
}

}  // namespace
}  // namespace stray::trace
