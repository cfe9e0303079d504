// A heap source tells which memory blocks exist in the frozen process. The seam for other allocators: one file pair and one line in
// the table below.
//
// 1. walk() puts every block it is sure of into image.blocks, and the address ranges they fill into image.claimed. What it does not
//    claim is a root: an allocator, arena or chain that is not understood costs proofs, never soundness.
// 2. Facts are found by the parent before any stop (discover.cpp) and frozen with the clone.
// 3. A heap is walked only if the parent holds its lock at the clone (heap_lock.h): with a lock merely seen free, a thread that is not
//    stopped could change chunks between two pages of the clone; and the chain's self-check alone lost blocks in 1 of 900 snapshots.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trace/image_types.h"

namespace stray::trace {

struct image;

// Where glibc keeps what, found without symbols. Offsets into malloc_state unless said otherwise.
struct glibc_facts {
  std::uintptr_t main_arena = 0;
  std::uint32_t fast = 0;  // fastbinsY; 0: this version has none
  std::uint32_t top = 0;
  std::uint32_t bins = 0;
  std::uint32_t next = 0;
  std::uint32_t system_mem = 0;
  std::uint32_t size = 0;
  std::uint32_t heap_info = 0x30;  // size of the header of a non-main heap
  std::int64_t tcache_at = 0;      // the thread's tcache pointer lies at fs base + this; 0: not found
  std::uint32_t tcache_bins = 0;
  std::uint32_t tcache_count_size = 0;  // bytes of one count; 0: counts are not checked
  std::uint32_t tcache_entries = 0;     // offset of the entries
  std::uint32_t tcache_chunk = 0;       // chunk size of the structure
};

struct heap_facts {
  std::uint32_t source = 0;  // index into heap_sources
  char allocator[32] = {};   // its name if recognised, for the note
  glibc_facts glibc;
  const struct malloc_map* map = nullptr;  // of heap_mapped
  std::uintptr_t caller_fs = 0;            // fs base of the thread that takes the snapshot
};

struct heap_source {
  const char* name;
  // Runs in the snapshot. `held`: locks the parent held at the clone.
  void (*walk)(image& in, const heap_facts& facts, slice<const std::uintptr_t> held) noexcept;
};
inline constexpr std::uint32_t heap_unknown = 0, heap_glibc = 1, heap_mapped = 2;
void walk_unknown(image& in, const heap_facts& facts, slice<const std::uintptr_t> held) noexcept;
void walk_glibc(image& in, const heap_facts& facts, slice<const std::uintptr_t> held) noexcept;
void walk_map(image& in, const heap_facts& facts, slice<const std::uintptr_t> held) noexcept;
inline constexpr heap_source heap_sources[] = {{"unknown", walk_unknown}, {"glibc", walk_glibc}, {"map", walk_map}};

// Parent, at start-up, any time before the first snapshot; starts two short-lived threads. Reads memory of other threads only through
// the kernel, so that a page unmapped meanwhile does no harm.
void find_heap(heap_facts& facts) noexcept;

}  // namespace stray::trace
