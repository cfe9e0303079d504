// Among the leaked: who waits for whom, and what each keeps. Decides nothing: verdicts are made before.
//
// 1. waits_for: another leaked one that could do it, if it could run: it holds a handle with the right, the lock, a pointer to the primitive
//    or memory with it. Not one that waits for the same itself: workers that share a channel are peers, none is another's victim. Of several
//    that could: rather anybody than the waiter's own creator, who handed it down; for an embedded primitive rather who has its very address
//    (who will call done has) than who holds the object around it.
// 2. root: where that chain ends; it may end in a ring (each waits for the next), whose first member then stands for all.
// 3. heap_bytes: blocks that live memory does not reach, and of the leaked this one only. A block has at most one owner or is shared: it is
//    read at most twice, so the cost is that of two markings of what the leaked reach.
// 4. It has memory of its own: when that ends, causes say less, and the verdicts stay.
// Pure; runs in the snapshot.
#pragma once

#include <cstdint>

#include "leak/wait_graph.h"
#include "trace/image_types.h"

namespace stray::trace {
class marker;
}

namespace stray::leak {

struct waited_on {  // an embedded primitive that somebody waits on by reference
  std::uintptr_t primitive;
  std::uint32_t node;
};

// The first of a sorted list that does not lie below the address.
inline std::size_t first_from(trace::slice<const waited_on> sorted, std::uintptr_t address) noexcept {
  std::size_t lo = 0, hi = sorted.size;
  while (lo < hi) {
    std::size_t mid = (lo + hi) / 2;
    if (sorted[mid].primitive < address) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

struct blame {
  std::uint32_t waits_for = no_node, root = no_node;  // root no_node: it is one itself
  bool ring = false;
  std::uint64_t heap_bytes = 0;
};

// One blame a node; none when there is no memory. `embedded` is sorted by address.
void find_blame(wait_graph& g, trace::marker& m, trace::slice<const waited_on> embedded, trace::slice<blame>& out) noexcept;

}  // namespace stray::leak
