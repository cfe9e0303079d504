// Which bytes of a saved vector state count as registers: those of components in use; all where something is not understood.
#include "trace/vector_state.h"

#include <gtest/gtest.h>
#include <utility>
#include <vector>

namespace stray::trace {
namespace {

using spans = std::vector<std::pair<std::size_t, std::size_t>>;
const std::pair<std::size_t, std::size_t> legacy{32, 384};

struct area {
  alignas(64) std::uint64_t words[512] = {};

  area(std::uint64_t used, std::uint64_t compacted = 0) { words[64] = used, words[65] = compacted; }
  spans seen(const vector_layout& layout, std::size_t size) const {
    spans out;
    each_vector_span(layout, reinterpret_cast<const unsigned char*>(words), size,
                     [&](std::size_t at, std::size_t bytes) { out.emplace_back(at, bytes); });
    return out;
  }
};

vector_layout one_with_a_hole() {
  vector_layout layout;
  layout.known = true;
  layout.component[2] = {576, 256};
  layout.component[5] = {1088, 64};
  layout.component[6] = {1152, 512};
  return layout;
}

TEST(vector_state, components_in_use_without_the_holes) {
  EXPECT_EQ(area(0b0000111).seen(one_with_a_hole(), 2048), (spans{legacy, {576, 256}}));
  EXPECT_EQ(area(0b1000111).seen(one_with_a_hole(), 2048), (spans{legacy, {576, 256}, {1152, 512}}));
  EXPECT_EQ(area(0b0000011).seen(one_with_a_hole(), 2048), (spans{legacy}));
}

TEST(vector_state, a_legacy_area) {
  EXPECT_EQ(area(0xff).seen(one_with_a_hole(), 512), (spans{legacy}));
  EXPECT_EQ(area(0xff).seen({}, 512), (spans{legacy}));
}

TEST(vector_state, all_of_it_where_something_is_not_understood) {
  const spans all{{0, 2048}};
  EXPECT_EQ(area(0b111).seen({}, 2048), all) << "no layout";
  EXPECT_EQ(area(0b111, std::uint64_t{1} << 63).seen(one_with_a_hole(), 2048), all) << "the compacted format";
  EXPECT_EQ(area(0b1111).seen(one_with_a_hole(), 2048), all) << "a component that the processor does not tell of";
  EXPECT_EQ(area(0b1000111).seen(one_with_a_hole(), 1600), (spans{{0, 1600}})) << "a component behind its end";
  EXPECT_EQ(area(0b111).seen(one_with_a_hole(), 560), (spans{{0, 560}})) << "half a header";
}

TEST(vector_state, of_this_processor) {
  vector_layout layout;
  find_vector_layout(layout);
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "this processor has no AVX";
  ASSERT_TRUE(layout.known);
  EXPECT_EQ(layout.component[2].at, 576u);
  EXPECT_EQ(layout.component[2].bytes, 256u);
}

}  // namespace
}  // namespace stray::trace
