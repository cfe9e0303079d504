#include "trace/trail.h"

namespace stray::trace {

namespace {

// The builtin is a call into libgcc on a plain x86-64.
std::uint32_t count_bits(std::uint64_t x) noexcept {
  x -= x >> 1 & 0x5555'5555'5555'5555u;
  x = (x & 0x3333'3333'3333'3333u) + (x >> 2 & 0x3333'3333'3333'3333u);
  x = (x + (x >> 4)) & 0x0f0f'0f0f'0f0f'0f0fu;
  return static_cast<std::uint32_t>(x * 0x0101'0101'0101'0101u >> 56);
}

}  // namespace

bool trail::init(const block_table& blocks, bump& memory) noexcept {
  blocks_ = &blocks;
  memory_ = &memory;
  table_ = memory.array<segment*>(entries);
  return table_ != nullptr;
}

trail::segment* trail::make(std::uintptr_t block) noexcept {
  const block_table::segment* starts = blocks_->find_segment(block);
  auto* s = memory_->array<segment>(1);
  if (starts == nullptr || s == nullptr) return nullptr;
  std::uint32_t n = 0;
  for (std::size_t w = 0; w < block_table::words; w++) {
    s->before[w] = n;
    n += count_bits(starts->at[w].start);
  }
  s->from = memory_->array<std::uint64_t>(n);
  return s->from == nullptr ? nullptr : s;
}

std::uint64_t* trail::entry(const segment& s, std::uintptr_t block) const noexcept {
  std::size_t w = (block >> 10) & (block_table::words - 1);
  std::uint64_t below = (std::uint64_t{1} << ((block >> 4) & 63)) - 1;
  std::uint64_t starts = blocks_->find_segment(block)->at[w].start;
  return s.from + s.before[w] + count_bits(starts & below);
}

void trail::set(std::uintptr_t block, std::uint64_t from) noexcept {
  segment*& s = table_[block >> block_table::segment_shift];
  if (s == nullptr) s = make(block);
  if (s == nullptr) {
    failed_ = true;
    return;
  }
  *entry(*s, block) = from;
}

std::uint64_t trail::of(std::uintptr_t block) const noexcept {
  const segment* s = table_[block >> block_table::segment_shift];
  return s == nullptr ? 0 : *entry(*s, block);
}

}  // namespace stray::trace
