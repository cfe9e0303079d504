// Which heap blocks exist, and which are marked: one bit each per 16 bytes of heap, found by address in one or two loads.
//
// 1. A block is named by its user address (what malloc returned), a multiple of 16. An address belongs to the last start at or below it:
//    any address in [block, next start) is the block.
// 2. Free chunks and the ends of heap runs have starts too, so that the block before does not stretch over them. Their `free` bit is set,
//    and their mark bit from the beginning: a word that hits one needs no further test.
// 3. The 16 bytes before a start are its chunk header: an address there names the block before and the block behind (compilers keep
//    base-8, and `top` and bins point there).
// 4. The bytes of a block: [user, user + chunk size - 8), of an mmapped one 16 less; the size is read from the chunk header.
// 5. A segment is 64 MiB of addresses; segments without blocks do not exist. `carry` is the block that reaches into a segment from below.
//    Those that exist are chained: between [heap] and the arenas lie 700,000 that do not, and asking for each took 1.3 ms a pass.
// Rejected (decision 0019, 20 M blocks, random graph, prefetched): sorted array 8473 ms, byte map 554 ms, this 548 ms at a quarter of the
// byte map's memory; one flat table for 47 bits of addresses is 2 TiB of reservation.
// Pure; runs in the snapshot.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address_space.h"
#include "trace/bump.h"
#include "trace/client.h"

namespace stray::trace {

class block_table {
 public:
  static constexpr unsigned segment_shift = 26;  // 64 MiB
  static constexpr std::size_t words = (std::size_t{1} << segment_shift) / 1024;
  struct pair {
    std::uint64_t start, mark;
  };
  struct extra {
    std::uint64_t free, reach;
  };
  struct segment {
    pair at[words];
    extra more[words];
    std::uint64_t summary[words / 64];       // bit w: at[w].start != 0
    std::uint64_t upper[words / (64 * 64)];  // bit u: summary[u] != 0; return addresses lie far below the first start of [heap]
    std::uintptr_t carry;  // start of a block (or of free room) that reaches in from the segment below; 0: none
    segment* next;         // of those that exist, the one above
    std::uintptr_t base;
  };
  struct place {  // one start
    segment* in;
    std::uintptr_t block;  // 0: no block
    std::size_t word() const noexcept { return (block >> 10) & (words - 1); }
    std::uint64_t mask() const noexcept { return std::uint64_t{1} << ((block >> 4) & 63); }
  };

  bool init(bump& memory) noexcept;

  // Building; `user` a multiple of 16. add_end puts a free start where a run ends; it is dropped where no segment exists.
  void add_block(std::uintptr_t user, std::size_t chunk_size) noexcept;
  void add_free(std::uintptr_t user, std::size_t chunk_size) noexcept;
  void add_end(std::uintptr_t user) noexcept;
  // Takes back every start in [r.lo, r.hi): a chain of chunks turned out to be none.
  void erase(range r) noexcept;
  // For cached frees (tcache, fastbins): false if no in-use block starts exactly there.
  bool set_free(std::uintptr_t user) noexcept;

  segment* find_segment(std::uintptr_t address) const noexcept { return table_[address >> segment_shift]; }
  // The start that an address belongs to, free or not.
  place find(std::uintptr_t address) const noexcept {
    segment* s = find_segment(address);
    if (s == nullptr) return {nullptr, 0};
    std::size_t w = (address >> 10) & (words - 1);
    std::uint64_t below = s->at[w].start & (~std::uint64_t{0} >> (63 - ((address >> 4) & 63)));
    if (below != 0)
      return {s, (address & ~std::uintptr_t{1023}) + (static_cast<std::size_t>(63 - __builtin_clzll(below)) << 4)};
    return find_before(s, address, w);
  }
  bool is_start(std::uintptr_t user) const noexcept {
    segment* s = find_segment(user);
    return s != nullptr && (s->at[(user >> 10) & (words - 1)].start >> ((user >> 4) & 63) & 1) != 0;
  }
  bool in_use(std::uintptr_t user) const noexcept {
    segment* s = find_segment(user);
    std::size_t w = (user >> 10) & (words - 1);
    unsigned b = (user >> 4) & 63;
    return s != nullptr && (s->at[w].start >> b & 1) != 0 && (s->more[w].free >> b & 1) == 0;
  }
  // The bytes of the in-use block that holds an address; false when there is none.
  bool block_of(std::uintptr_t address, range& bytes) const noexcept;
  bool marked(std::uintptr_t user) const noexcept {
    segment* s = find_segment(user);
    return s != nullptr && (s->at[(user >> 10) & (words - 1)].mark >> ((user >> 4) & 63) & 1) != 0;
  }
  bool reached(std::uintptr_t user) const noexcept {
    segment* s = find_segment(user);
    return s != nullptr && (s->more[(user >> 10) & (words - 1)].reach >> ((user >> 4) & 63) & 1) != 0;
  }
  static std::uintptr_t end_of(std::uintptr_t user) noexcept {
    std::uintptr_t head = *reinterpret_cast<const std::uintptr_t*>(user - 8);
    return user + (head & ~std::uintptr_t{7}) - ((head & 2) != 0 ? 16 : 8);
  }

  // f(user) for every in-use block in address order.
  template <class F>
  void each_in_use(F f) const noexcept {
    each([](const segment& s, std::size_t w) { return s.at[w].start & ~s.more[w].free; }, f);
  }
  // The same for those of neither colour. f may colour blocks: whoever got a colour meanwhile may or may not be left out.
  template <class F>
  void each_untouched(F f) const noexcept {
    each([](const segment& s, std::size_t w) { return s.at[w].start & ~(s.at[w].mark | s.more[w].reach); }, f);
  }
  // The same for those in use with the mark, and without it.
  template <class F>
  void each_marked(F f) const noexcept {
    each([](const segment& s, std::size_t w) { return s.at[w].start & s.at[w].mark & ~s.more[w].free; }, f);
  }
  template <class F>
  void each_unmarked(F f) const noexcept {
    each([](const segment& s, std::size_t w) { return s.at[w].start & ~s.at[w].mark; }, f);
  }
  std::size_t blocks() const noexcept { return blocks_; }

 private:
  template <class F>
  static void each_bit(const std::uint64_t* words_of, std::size_t n, F f) noexcept {
    for (std::size_t i = 0; i < n; i++) {
      for (std::uint64_t some = words_of[i]; some != 0; some &= some - 1)
        f(i * 64 + static_cast<std::size_t>(__builtin_ctzll(some)));
    }
  }
  template <class Chosen, class F>
  void each(Chosen chosen, F f) const noexcept {
    for (const segment* s = lowest_; s != nullptr; s = s->next) {
      each_bit(s->upper, words / 4096, [&](std::size_t u) {
        each_bit(s->summary + u, 1, [&](std::size_t v) {
          const std::size_t w = u * 64 + v;
          const std::uint64_t starts = chosen(*s, w);
          each_bit(&starts, 1, [&](std::size_t b) { f(s->base + (w << 10) + (b << 4)); });
        });
      });
    }
  }
  static constexpr std::size_t entries = std::size_t{1} << (47 - segment_shift);
  place find_before(segment* s, std::uintptr_t address, std::size_t w) const noexcept;
  segment* make_segment(std::size_t index) noexcept;
  void add(std::uintptr_t user, std::size_t chunk_size, bool free) noexcept;
  bump* memory_ = nullptr;
  segment** table_ = nullptr;
  segment *lowest_ = nullptr, *latest_ = nullptr;  // latest: made last
  std::size_t blocks_ = 0;
};

}  // namespace stray::trace
