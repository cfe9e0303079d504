// Where every block of an interposed malloc lies: what src/malloc_map/ writes while the program runs, and the snapshot reads.
//
// 1. One byte for each 16 bytes of heap: 1 at a block's first granule, else 0. Segments of 64 MiB are made when first needed and stay.
// 2. Before each block lie 32 bytes. The first 16 belong to nobody: an allocator that keeps an address of the room it handed out (jemalloc
//    in its caches, after the fact too) keeps theirs, which must not keep the block. Then the header: where the allocator's own room
//    begins, a check, and the size in glibc's form (block_table.h 4). Behind the block lies one byte at least: its end is no other's begin.
// 3. The byte is set when the header is complete, and cleared before the room goes back. In between the block is in nobody's hands.
// 4. A block never leaves the map while it holds data: realloc makes the new one, copies, and only then gives the old one back.
// 5. What is not in the map is no block to the tracer, and its memory is a root.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace stray::trace {

struct malloc_map {
  static constexpr unsigned segment_shift = 26;
  static constexpr std::size_t segments = std::size_t{1} << (47 - segment_shift);
  static constexpr std::size_t granule = 16, granules = (std::size_t{1} << segment_shift) / granule;
  using segment = std::atomic<std::uint8_t>;  // [granules]

  std::atomic<std::atomic<segment*>*> table{nullptr};  // [segments], by address; null before the first block

  segment* find(const void* p) const noexcept {
    auto address = reinterpret_cast<std::uintptr_t>(p);
    std::atomic<segment*>* t = table.load(std::memory_order_acquire);
    return t == nullptr || address >> 47 != 0 ? nullptr : t[address >> segment_shift].load(std::memory_order_acquire);
  }
  static std::size_t index(const void* p) noexcept { return (reinterpret_cast<std::uintptr_t>(p) / granule) & (granules - 1); }
  bool holds(const void* p) const noexcept {
    segment* s = find(p);
    return s != nullptr && reinterpret_cast<std::uintptr_t>(p) % granule == 0 &&
           s[index(p)].load(std::memory_order_relaxed) != 0;
  }
};

// The two words before a block.
struct block_header {
  static constexpr std::size_t before = 32;          // bytes from the room's begin, if the block is not aligned to more
  static constexpr std::size_t most = SIZE_MAX / 4;  // bytes of a block

  std::uint32_t offset;  // of the block in its room
  std::uint32_t check;
  std::uint64_t head;  // bytes + 8, and the bit that glibc sets there

  static constexpr std::uint32_t mixed(std::uintptr_t user, std::uint32_t offset, std::uint64_t head) noexcept {
    return static_cast<std::uint32_t>(((user ^ (head * 0x9e3779b97f4a7c15u) ^ offset) * 0xd6e8feb86659fd93u) >> 32);
  }
  static constexpr block_header of(std::uintptr_t user, std::uint32_t offset, std::size_t bytes) noexcept {
    std::uint64_t head = (bytes + 8) | 1;
    return {offset, mixed(user, offset, head), head};
  }
  constexpr bool fits(std::uintptr_t user) const noexcept {
    return (head & 7) == 1 && head > 8 && check == mixed(user, offset, head);
  }
  constexpr std::size_t bytes() const noexcept { return (head & ~std::uint64_t{7}) - 8; }

  // Sizes are multiples of 8. The room that a block of `bytes` fills behind its own begin: a multiple of 16.
  static constexpr std::size_t rounded(std::size_t bytes) noexcept { return (bytes + 7) & ~std::size_t{7}; }
  static constexpr std::size_t filled(std::size_t bytes) noexcept {
    return (bytes + malloc_map::granule) & ~(malloc_map::granule - 1);
  }
};
static_assert(sizeof(block_header) == 16);

}  // namespace stray::trace
