// Among the leaked: who waits for whom, and what each keeps. Decides nothing: verdicts are made before.
//
// 1. waits_for: another leaked one that could do it, if it could run: it holds a handle with the right, the lock, a pointer to the primitive
//    or memory with it. Not one that waits for the same itself: workers that share a channel are peers, none is another's victim. Of several
//    that could: rather anybody than the waiter's own creator, who handed it down; for an embedded primitive rather who has its very address
//    (who will call done has) than who holds the object around it; and rather one that itself waits for the others, so that the chain names
//    them all. Who is then left besides the first is in `several`: nobody can say which of them would have done it.
// 2. A close is no help to a sender, though it makes a live one of it: it would throw. So who holds a handle to send is not asked, nor who
//    holds a full one and waits for the senders to be done (in a wait_group, say): it is there to close.
// 3. root: where that chain ends; it may end in a ring (each waits for the next), whose first member then stands for all.
// 4. heap_bytes: blocks that live memory does not reach, and of the leaked this one only. A block has at most one owner or is shared, and a
//    shared one is read for seven at most, and for one of several in turn who wait for the same: they could help the same. So the cost is
//    mostly that of two markings of what the leaked reach.
// 5. It has memory of its own: when that ends, causes say less, and the verdicts stay.
// 6. wakers: all of the leaked whose end might wake it, without the preferences of 1 and 2: a destructor may do whatever its frames lead to. Peers
//    are none. `more` if not all are known.
// Pure; runs in the snapshot.
#pragma once

#include <cstdint>

#include "leak/model/wait_graph.h"
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

struct few_nodes {  // the first few that were met
  static constexpr std::uint32_t room = 4;
  std::uint32_t at[room] = {};
  std::uint8_t count = 0;
  bool more = false;  // there was another one

  bool holds(std::uint32_t number) const noexcept {
    for (std::uint32_t n : *this) {
      if (n == number) return true;
    }
    return false;
  }
  void add(std::uint32_t number) noexcept {
    if (holds(number)) return;
    if (count == room) {
      more = true;
    } else {
      at[count++] = number;
    }
  }
  const std::uint32_t* begin() const noexcept { return at; }
  const std::uint32_t* end() const noexcept { return at + count; }
};

struct blame {
  std::uint32_t waits_for = no_node, root = no_node;  // root no_node: it is one itself
  few_nodes several{};                                // empty, or all of those that waits_for is the first of
  bool ring = false;
  std::uint64_t heap_bytes = 0;
  few_nodes wakers{};  // 6
};

// One blame a node; none when there is no memory. `embedded` is sorted by address.
void find_blame(wait_graph& g, trace::marker& m, trace::slice<const waited_on> embedded, trace::slice<blame>& out) noexcept;

}  // namespace stray::leak
