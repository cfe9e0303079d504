// Goroutines and OS threads as nodes. Pure; runs in the snapshot on frozen records.
//
// 1. One load of the state word decides: waiting for an eligible reason = candidate; free and dead = nothing; all else = root.
// 2. Whom the waiters for locks wait for is lock_owners.cpp's.
// 3. Timers: every armed callback is in a slot of the heap or in `moving`, every popped one in a batch, whatever the instant (timer.h). They
//    are taken as addresses, never read: a stale slot may name a block that is gone. Entries in task records are no callbacks.
// 4. A task's closure is its span from before the first byte is moved in until it has been moved out.
#include "leak/task_source.h"

#include "runtime/worker.h"
#include "sync/chan_core.h"

namespace stray::leak {

namespace {

using runtime::live_rule;
using runtime::state;
using runtime::task;

void set_stack(node& n, const task& t, wait_graph& g, std::uint32_t number) noexcept {
  if (t.is_thread || t.stack_lo == 0) return;
  for (unsigned r = 0; r < g.region_count; r++) {
    if (!g.regions[r].where.holds(t.stack_lo)) continue;
    std::size_t index = (t.stack_lo - g.regions[r].where.lo) / g.regions[r].spacing;
    if (index < g.regions[r].count) g.regions[r].node_of[index] = number;
  }
  n.stack = g.slot_of(t.stack_lo).where;
  std::uintptr_t sp = t.sp;
  if (sp >= n.stack.lo && sp < n.stack.hi) {
    n.stack.lo = sp;
  } else {
    n.elsewhere = sp;  // of one that runs it may be an old one: more is live then
  }
}

bool add_waits(const task& t, std::uint32_t number, trace::bump& memory, wait_graph& g) noexcept {
  node& n = g.nodes[number];
  n.first_wait = static_cast<std::uint32_t>(g.waits.size());
  for (std::uint32_t i = 0; i < t.node_count; i++) {
    const runtime::wait_node& w = t.nodes[i];
    wait edge{w.primitive, number, no_node, w.sends};
    if (n.rule == live_rule::chan && g.core_slab.holds(w.primitive)) {
      core_state& c = g.cores[(w.primitive - g.core_slab.lo) / g.core_size];
      std::uint32_t& head = w.sends ? c.senders : c.receivers;
      edge.next = head;
      head = static_cast<std::uint32_t>(g.waits.size());
    }
    if (!g.waits.push(memory, edge)) return false;
    n.wait_count++;
  }
  return true;
}

bool add_armed(const source_view& view, trace::bump& memory, wait_graph& g) noexcept {
  if (view.timers == nullptr) return true;
  const runtime::timer_table& t = *view.timers;
  auto add = [&](const void* entry) {
    auto at = reinterpret_cast<std::uintptr_t>(entry);
    return at == 0 || g.task_slab.holds(at) || g.armed.push(memory, at);
  };
  const runtime::timer_slot* slots = t.slots.load(std::memory_order_relaxed);  // order: frozen
  std::uint32_t size = t.size.load(std::memory_order_relaxed);                 // order: frozen
  for (std::uint32_t i = 1; slots != nullptr && i <= size; i++) {
    if (!add(slots[i].entry)) return false;
  }
  if (!add(t.moving.load(std::memory_order_relaxed))) return false;                                             // order: frozen
  for (const runtime::firing_batch* b = t.firing.load(std::memory_order_relaxed); b != nullptr; b = b->next) {  // order: frozen
    for (const std::atomic<runtime::timer_entry*>& e : b->entry) {
      if (!add(e.load(std::memory_order_relaxed))) return false;  // order: frozen
    }
  }
  return true;
}

bool add_inherited(const source_view& view, trace::bump& memory, wait_graph& g) noexcept {
  for (unsigned r = 0; r < g.region_count; r++) {
    stack_region& region = g.regions[r];
    const unsigned stack_class = static_cast<unsigned>(__builtin_ctzll(region.spacing / runtime::smallest_stack));
    const std::size_t count = view.stacks[stack_class].inherited.load(std::memory_order_relaxed);  // order: frozen
    for (std::size_t i = 0; i < count && i < region.count; i++) {
      const std::uintptr_t lo = region.where.lo + i * region.spacing + base::page_size;
      const task* owner = view.stacks[stack_class].owner[i];
      if (owner == nullptr || (region.node_of[i] != no_node && owner != *view.forking_record)) continue;
      inherited_stack s{{lo, lo - base::page_size + region.spacing}, 0};
      const std::size_t number = (reinterpret_cast<std::uintptr_t>(owner) - g.task_slab.lo) / g.task_size;
      if (number < g.nodes.size && g.nodes[number].what != node::none) {
        node& n = g.nodes[number];
        region.node_of[i] = static_cast<std::uint32_t>(number);
        n.has_forked = true;
        s.tid = n.is_thread ? n.tid : inherited_stack::main_thread;
        n.stack = {};  // its thread's now
        n.elsewhere = 0;
      }
      if (!g.inherited.push(memory, s)) return false;
    }
  }
  return true;
}

}  // namespace

bool fill_from_goroutines(const source_view& view, bool holds_rule, trace::bump& memory, wait_graph& g) noexcept {
  const auto& cores = *static_cast<const base::slab<detail::chan_core>*>(view.cores);
  std::size_t task_count = view.tasks->used(), core_count = cores.used();
  g.task_slab = view.tasks->where();
  g.task_size = sizeof(task);
  g.core_slab = cores.where();
  g.core_size = sizeof(detail::chan_core);
  g.nodes = {memory.array<node>(task_count), task_count};
  g.cores = {memory.array<core_state>(core_count), core_count};
  if (g.nodes.data == nullptr || g.cores.data == nullptr) return task_count == 0 && core_count == 0;
  for (unsigned c = 0; c < runtime::stack_classes; c++) {
    const runtime::stack_view& from = view.stacks[c];
    if (from.where.size() == 0) continue;
    stack_region& to = g.regions[g.region_count++];
    to.where = from.where;
    to.spacing = runtime::smallest_stack << c;
    to.count = from.used.load(std::memory_order_relaxed);  // order: frozen
    to.node_of = memory.array<std::uint32_t>(to.count + 1);
    if (to.node_of == nullptr) return false;
    for (std::size_t i = 0; i < to.count; i++) to.node_of[i] = no_node;
  }

  for (std::size_t i = 0; i < core_count; i++) {
    core_state& to = g.cores[i];
    to = core_state{};
    if (i == 0) continue;
    const detail::chan_core& c = *cores.at(i);
    to.exists = c.in_use.load(std::memory_order_relaxed);  // order: frozen
    if (!to.exists) continue;
    to.refs = c.refs.count.load(std::memory_order_relaxed);  // order: frozen
    if (c.ring != nullptr) {
      auto ring = reinterpret_cast<std::uintptr_t>(c.ring);
      to.ring = {ring, ring + std::size_t{c.capacity} * c.ops->size};
    }
  }

  if (!add_armed(view, memory, g)) return false;

  for (std::uint32_t i = 0; i < task_count; i++) {
    node& n = g.nodes[i];
    n = node{};
    if (i == 0) continue;
    const task& t = *view.tasks->at(i);
    std::uint64_t word = t.word.load(std::memory_order_relaxed);  // order: frozen
    state now = runtime::word::state_of(word);
    if (now == state::free || now == state::dead) continue;
    n.record = i;
    n.id = t.id;
    n.creator_id = t.creator_id;
    n.seq = runtime::word::seq_of(word);
    n.is_thread = t.is_thread;
    n.is_main = t.is_main;
    n.tid = t.tid;
    bool waits = now == state::waiting && runtime::eligible(t.reason);
    n.blocked = now == state::waiting || now == state::parking;
    n.what = waits ? node::candidate : node::root;
    if (!t.is_thread && t.closure_live.load(std::memory_order_relaxed)) {  // order: frozen
      auto at = reinterpret_cast<std::uintptr_t>(t.closure_at);
      n.closure = {at, at + t.closure_size};
    }
    set_stack(n, t, g, i);
    if (!waits) continue;
    n.rule = runtime::rule_of(t.reason);
    if (!add_waits(t, i, memory, g)) return false;
    g.candidates++;
  }

  return add_inherited(view, memory, g) && add_lock_owners(view, holds_rule, memory, g);
}

}  // namespace stray::leak
