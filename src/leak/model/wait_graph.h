// Who waits for what, as the snapshot's child sees it: one node a task, one edge a wait. Filled by task sources (task_source.h), read by
// classification.
//
// 1. A node is a candidate iff its source has seen it wait for something whose waker can be told; every other existing task is a root.
// 2. A node's number is the source's first number and the record's index there, so no lookup is needed from a record to its node.
// 3. Wait edges are stated by the source from the wait records; queues are never read (a losing select's nodes stay linked for a while).
// 4. A pending or firing callback (timer, ticker, after_func, deadline of a context) can wake without anybody's handle: its block is a root.
// Pure types in bump memory.
#pragma once

#include <cstdint>

#include "base/address_space.h"
#include "trace/bump.h"
#include "trace/image_types.h"

namespace stray::leak {

inline constexpr std::uint32_t no_node = 0xffff'ffff, no_edge = no_node;

// In a loop over n things with a stack each: asks for the one that is read eight later.
template <class List>
void prefetch_stack_ahead(const List& list, std::size_t i, std::size_t n) noexcept {
  constexpr std::size_t ahead = 8;
  if (i + ahead < n) base::prefetch(list[i + ahead].stack.lo, list[i + ahead].stack.hi);
}

// Who can end a wait.
enum class live_rule : std::uint8_t {
  always,     // it ends by itself
  handle,     // a live holder of a counted handle with the right to wake
  nobody,     // nobody
  owner,      // the owner of the lock
  readers,    // all that hold the lock for reading, once the writer has announced itself; before that, its owner
  reference,  // anything live that leads to the primitive's memory
};

// What a task waits for, as far as sentences about it differ.
enum class wait_kind : std::uint8_t {
  other,
  send,         // to a channel
  all_of_them,  // several, each of which has to be done
  lock,
  shared_lock,
  once,
};

struct node {
  enum kind : std::uint8_t { none, root, candidate };
  kind what = none;
  live_rule rule = live_rule::always;
  std::uint8_t source = 0;  // number of the task source
  bool is_thread = false, is_main = false;
  bool blocked = false;      // in state waiting or parking, for whatever reason
  bool on_cpu = false;       // a stopped thread's span covers its stack
  bool has_forked = false;   // a thread runs on its stack now (inherited_stack)
  bool interrupted = false;  // it ran, and a thread on another stack has its registers: all of its stack may be live
  bool live = false, entered = false;
  bool uncounted = false;    // waits on a core with handles that were not located
  bool for_reading = false;  // rule readers: waits for those that hold the lock for reading
  int tid = 0;
  std::uint32_t record = 0;  // of its source
  std::uint64_t id = 0, seq = 0, creator_id = 0;
  base::range stack;  // [sp, top); empty: none yet, or a thread's (the tracer has it)
  std::uintptr_t elsewhere =
      0;  // its saved sp, if it switched to a stack of its own making before it blocked: `stack` is then all of its own
  base::range closure;  // not started yet
  std::uint32_t first_wait = no_node, wait_count = 0;
  std::uint32_t owners = no_edge, owners_left = 0;  // locks: whom it waits for, and how many of them are not live
  std::uint32_t blocks = no_edge;                   // who waits for this one
  std::uint32_t cycle = 0;                          // number of the cycle of locks that it is in
};

// A waiter for a lock and one of its owners. The waiter is live when all its owners are.
struct lock_edge {
  std::uint32_t waiter, owner;  // owner no_node: it has ended, and never becomes live
  std::uint32_t next_owner;     // of the same waiter
  std::uint32_t next_blocked;   // by the same owner
  std::uint64_t owner_id;
};

struct wait {
  std::uintptr_t primitive;
  std::uint32_t node;
  std::uint32_t next;  // of the same core and direction
  bool sends;
};

struct core_state {
  std::uint32_t receivers = no_node, senders = no_node;  // waits
  std::int64_t refs = 0, located = 0;
  base::range ring;  // empty: none
  bool exists = false, exact = false;
  bool woke_receivers = false, woke_senders = false, marked_ring = false;
};

// A region of equally spaced stacks: address -> node in one division.
struct stack_region {
  base::range where;
  std::size_t spacing = 0;
  std::uint32_t* node_of = nullptr;
  std::size_t count = 0;
};

// One stack of ours: all of it but the guard page, and the task that it is bound to.
struct stack_slot {
  base::range where;  // empty: no stack of ours lies there
  std::uint32_t node = no_node;
};

// In the child of a fork: a stack of a goroutine of the parent's, which nobody runs on any more, or of the one that forked, which a thread runs
// on now. Its bytes are memory like any other; of the second kind while that thread does not stand on it.
struct inherited_stack {
  base::range where;
  static constexpr int main_thread = -1;
  int tid = 0;  // 0: nobody's
};

struct wait_graph {
  trace::slice<node> nodes;
  trace::list<wait> waits;
  trace::list<lock_edge> edges;
  trace::list<std::uintptr_t> armed;  // addresses inside the blocks of invariant 4
  trace::list<inherited_stack> inherited;
  trace::slice<core_state> cores;
  base::range core_slab;
  std::size_t core_size = 0;
  stack_region regions[16];
  unsigned region_count = 0;
  std::size_t candidates = 0;

  // By sources. false: out of memory. All waits of one node come one after the other.
  bool add_wait(trace::bump& memory, std::uint32_t waiter, std::uintptr_t primitive, bool sends) noexcept {
    node& n = nodes[waiter];
    if (n.wait_count++ == 0) n.first_wait = static_cast<std::uint32_t>(waits.size());
    return waits.push(memory, {primitive, waiter, no_node, sends});
  }
  // owner no_node: it has ended.
  bool add_owner(trace::bump& memory, std::uint32_t waiter, std::uint32_t owner, std::uint64_t owner_id) noexcept {
    const auto number = static_cast<std::uint32_t>(edges.size());
    lock_edge e{waiter, owner, nodes[waiter].owners, no_edge, owner_id};
    nodes[waiter].owners = number;
    nodes[waiter].owners_left++;
    if (owner != no_node) {
      e.next_blocked = nodes[owner].blocks;
      nodes[owner].blocks = number;
    }
    return edges.push(memory, e);
  }

  // The only place that knows where a stack begins and ends. Of a stack pointer ask for the byte below it: an empty stack's is its end.
  stack_slot slot_of(std::uintptr_t address) const noexcept {
    for (unsigned i = 0; i < region_count; i++) {
      const stack_region& r = regions[i];
      if (!r.where.holds(address)) continue;
      std::size_t index = (address - r.where.lo) / r.spacing;
      if (index >= r.count) return {};
      std::uintptr_t lo = r.where.lo + index * r.spacing;
      return {{lo + base::page_size, lo + r.spacing}, r.node_of[index]};
    }
    return {};
  }
};

}  // namespace stray::leak
