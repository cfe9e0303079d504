// The frozen process as the snapshot's child sees it: which threads, mappings and heap blocks exist and what is a root.
//
// 1. Made in the child only (roots.cpp, heap_*.cpp) from what the parent left in `pause_record`; pure code, bump memory.
// 2. unstopped > 0: a thread ran on or its registers are unknown. The client may prove nothing from this image.
// 3. looked > 0: threads were only looked at, and may have run meanwhile. Less is live in this image than in the process, never more, but
//    for words that were on their way: what is dead here may live, what is live here is no leak. Nothing may be proven from it.
// 4. heap_known == false: no block table; every page of the heap is a root.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trace/block_table.h"
#include "trace/bump.h"
#include "trace/image_types.h"
#include "trace/memory_map.h"

namespace stray::trace {

// A stretch copied in the pause because the child would not see it as it was (pause_copy.h, kernel_words.h).
struct saved_span {
  std::uintptr_t lo, hi;  // lo == 0: it has no address
  std::uintptr_t copy;
  root what;
};

// How the outermost frame of a stack is known: by where its stack pointer lies and, unless empty, where its code does.
struct outermost {
  range sp, code;
  bool is(std::uintptr_t its_sp, std::uintptr_t pc) const noexcept {
    return sp.holds(its_sp) && (code.size() == 0 || code.holds(pc));
  }
};

// A stopped thread that stands on a stack whose ends are known. What lies below sp is dead if its frames lead to `home` (frames.h).
struct standing {
  const ucontext_t* context;
  range below;  // [low end, sp)
  range stack;  // from its low end to where its frames end
  outermost home;
  root_span::strength how;
  int tid;
};

struct image {
  const client* who = nullptr;
  unsigned off = 0;  // bits of `root` that are switched off
  bump* memory = nullptr;
  note_log* notes = nullptr;
  const struct doubt_log* doubts = nullptr;  // places that may hold pointers and cannot be read (doubts.h); null: none
  memory_map map;
  page_scan pages;
  block_table blocks;
  slice<stopped_thread> threads;
  slice<thread_role> roles;  // of each of `threads`; written by client.prepare
  slice<saved_span> saved;
  list<range> ours;     // memory of the tracer and of the client: never scanned
  list<range> claimed;  // heap ranges whose blocks are in the table, and malloc's own state: not roots
  list<root_span> roots;
  list<standing> standings;
  int parent_pid = 0;  // of the process that was frozen: the main thread's id
  bool caller_is_main = false;
  std::uintptr_t main_stack_end = 0;  // 0: unknown
  std::uintptr_t tcb_bytes = 0;       // size of a thread's control block; 0: unknown
  bool heap_known = false;
  unsigned unstopped = 0;
  unsigned looked = 0;
  std::uint64_t unknown_bytes = 0;  // root spans that belong to no module, stack or walked heap
  unsigned blind = 0;               // mappings that could hold pointers and were not read; each has a note

  bool is_off(root r) const noexcept { return (off & bit(r)) != 0; }
};

}  // namespace stray::trace
