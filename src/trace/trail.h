// From which word each marked block was reached first: one entry a block, kept only when somebody asks for a path (marker::keep_trail).
//
// 1. An entry is an address, or one of the special values below; 0: not reached by a word.
// 2. Entries of a segment are dense: the number of a block is the count of starts before it. Only segments with marked blocks have any.
// 3. Block starts do not change once marking begins.
// Cost: 8 bytes a start of the heap, in the snapshot. Pure; runs in the snapshot.
#pragma once

#include <cstdint>

#include "trace/block_table.h"
#include "trace/bump.h"

namespace stray::trace {

namespace trail_mark {
inline constexpr std::uint64_t special = std::uint64_t{1} << 63;
inline constexpr std::uint64_t orphan = special | (std::uint64_t{1} << 40);     // nothing is seen to refer to the block
inline constexpr std::uint64_t by_client = special | (std::uint64_t{1} << 41);  // marked by the client, not by a word
constexpr std::uint64_t register_of(int tid) noexcept { return special | static_cast<std::uint32_t>(tid); }
}  // namespace trail_mark

class trail {
 public:
  bool init(const block_table& blocks, bump& memory) noexcept;
  void set(std::uintptr_t block, std::uint64_t from) noexcept;
  std::uint64_t of(std::uintptr_t block) const noexcept;
  // The stack of a thread that is blocked in a primitive: the word that led into it, or by_client. 0: nobody entered it.
  void enter(int tid, std::uint64_t from) noexcept { failed_ = !entered_.push(*memory_, {tid, from}) || failed_; }
  std::uint64_t entered(int tid) const noexcept {
    for (const entry_of_thread& e : entered_) {
      if (e.tid == tid) return e.from;
    }
    return 0;
  }
  bool complete() const noexcept { return !failed_; }  // false: out of memory, entries are missing

 private:
  struct segment {
    std::uint32_t before[block_table::words];  // starts below each word
    std::uint64_t* from;
  };
  struct entry_of_thread {
    int tid;
    std::uint64_t from;
  };
  static constexpr std::size_t entries = std::size_t{1} << (47 - block_table::segment_shift);
  segment* make(std::uintptr_t block) noexcept;
  std::uint64_t* entry(const segment& s, std::uintptr_t block) const noexcept;

  const block_table* blocks_ = nullptr;
  bump* memory_ = nullptr;
  segment** table_ = nullptr;
  list<entry_of_thread> entered_;
  bool failed_ = false;
};

}  // namespace stray::trace
