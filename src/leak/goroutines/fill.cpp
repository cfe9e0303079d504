#include "leak/goroutines/frozen.h"

#include "leak/goroutines/wait_rules.h"
#include "runtime/context.h"
#include "sync/chan_core.h"

namespace stray::leak {

namespace {

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
  for (std::uint32_t i = 0; i < t.node_count; i++) {
    const runtime::wait_node& w = t.nodes[i];
    if (!g.add_wait(memory, number, w.primitive, w.sends)) return false;
    if (g.nodes[number].rule != live_rule::handle || !g.core_slab.holds(w.primitive)) continue;
    core_state& c = g.cores[(w.primitive - g.core_slab.lo) / g.core_size];
    std::uint32_t& head = w.sends ? c.senders : c.receivers;
    const auto edge = static_cast<std::uint32_t>(g.waits.size() - 1);
    g.waits[edge].next = head;
    head = edge;
  }
  return true;
}

bool add_armed(const frozen_goroutines& view, trace::bump& memory, wait_graph& g) noexcept {
  if (view.timers == nullptr) return true;
  const runtime::timer_table& t = *view.timers;
  auto add = [&](const void* entry) {
    auto at = reinterpret_cast<std::uintptr_t>(entry);
    return at == 0 || view.tasks->where().holds(at) || g.armed.push(memory, at);
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

bool add_inherited(const frozen_goroutines& view, trace::bump& memory, wait_graph& g) noexcept {
  for (unsigned r = 0; r < g.region_count; r++) {
    stack_region& region = g.regions[r];
    const unsigned stack_class = static_cast<unsigned>(__builtin_ctzll(region.spacing / runtime::smallest_stack));
    const std::size_t count = view.stacks[stack_class].inherited.load(std::memory_order_relaxed);  // order: frozen
    for (std::size_t i = 0; i < count && i < region.count; i++) {
      const std::uintptr_t lo = region.where.lo + i * region.spacing + base::page_size;
      const task* owner = view.stacks[stack_class].owner[i];
      if (owner == nullptr || (region.node_of[i] != no_node && owner != *view.forking_record)) continue;
      inherited_stack s{{lo, lo - base::page_size + region.spacing}, 0};
      const std::size_t record = view.record_of(owner);
      if (record < view.nodes.size && view.nodes[record].what != node::none) {
        node& n = view.nodes[record];
        region.node_of[i] = view.first + static_cast<std::uint32_t>(record);
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

bool add_stacks(const frozen_goroutines& view, trace::bump& memory, wait_graph& g) noexcept {
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
  return true;
}

bool add_cores(const frozen_goroutines& view, trace::bump& memory, wait_graph& g) noexcept {
  const std::size_t count = view.cores->used();
  g.core_slab = view.cores->where();
  g.core_size = sizeof(detail::chan_core);
  g.cores = {memory.array<core_state>(count), count};
  if (g.cores.data == nullptr) return count == 0;
  for (std::size_t i = 0; i < count; i++) {
    core_state& to = g.cores[i];
    to = core_state{};
    if (i == 0) continue;
    const detail::chan_core& c = *view.cores->at(i);
    to.exists = c.in_use.load(std::memory_order_relaxed);  // order: frozen
    if (!to.exists) continue;
    to.refs = c.refs.count.load(std::memory_order_relaxed);  // order: frozen
    if (c.ring != nullptr) {
      auto ring = reinterpret_cast<std::uintptr_t>(c.ring);
      to.ring = {ring, ring + std::size_t{c.capacity} * c.ops->size};
    }
  }
  return true;
}

bool add_task(const task& t, std::uint32_t number, trace::bump& memory, wait_graph& g) noexcept {
  node& n = g.nodes[number];
  const std::uint64_t word = t.word.load(std::memory_order_relaxed);  // order: frozen
  const state now = runtime::word::state_of(word);
  if (now == state::free || now == state::dead) return true;
  n.id = t.id;
  n.creator_id = t.creator_id;
  n.seq = runtime::word::seq_of(word);
  n.is_thread = t.is_thread;
  n.is_main = t.is_main;
  n.tid = t.tid;
  const bool waits = now == state::waiting && runtime::eligible(t.reason);
  n.blocked = now == state::waiting || now == state::parking;
  n.what = waits ? node::candidate : node::root;
  if (!t.is_thread && t.closure_live.load(std::memory_order_relaxed)) {  // order: frozen
    auto at = reinterpret_cast<std::uintptr_t>(t.closure_at);
    n.closure = {at, at + t.closure_size};
  }
  set_stack(n, t, g, number);
  if (!waits) return true;
  n.rule = rule_of(t.reason);
  g.candidates++;
  return add_waits(t, number, memory, g);
}

}  // namespace

std::size_t count_records(const void* self) noexcept { return static_cast<const frozen_goroutines*>(self)->tasks->used(); }

bool fill_graph(const void* self, const source_part& part, trace::bump& memory, wait_graph& g) noexcept {
  const auto& view = *static_cast<const frozen_goroutines*>(self);
  view.nodes = part.nodes;
  view.first = part.first;
  if (!add_stacks(view, memory, g) || !add_cores(view, memory, g) || !add_armed(view, memory, g)) return false;
  for (std::uint32_t i = 0; i < part.nodes.size; i++) {
    node& n = part.nodes[i];
    n = node{};
    n.source = part.source;
    n.record = i;
    if (i != 0 && !add_task(*view.tasks->at(i), part.first + i, memory, g)) return false;
  }
  return add_inherited(view, memory, g) && add_lock_owners(view, part.without.holds_rule, memory, g);
}

bool saved_registers(const node& n, base::cfi::frame& out) noexcept {
  if (n.stack.size() < sizeof(runtime::saved_frame)) return false;
  const auto& saved = *reinterpret_cast<const runtime::saved_frame*>(n.stack.lo);
  out.copy(base::cfi::frame_of(saved, n.stack.lo + sizeof saved));
  return true;
}

}  // namespace stray::leak
