#include "leak/classify/verdict_writer.h"

namespace stray::leak {

grounds verdict_writer::reason_of(std::uint32_t number) const noexcept {
  const node& n = g_.nodes[number];
  switch (n.rule) {
    case live_rule::nobody:
      return grounds::nobody;
    case live_rule::handle:
      return n.wait_count == 0 ? grounds::nobody : grounds::no_holder;
    case live_rule::reference:
      return grounds::no_reference;
    default:
      break;
  }
  bool ended = false, cycle = false;
  for (std::uint32_t e = n.owners; e != no_edge; e = g_.edges[e].next_owner) {
    std::uint32_t owner = g_.edges[e].owner;
    if (owner == number) return grounds::owner_is_self;
    ended = ended || owner == no_node;
    cycle = cycle || (owner != no_node && n.cycle != 0 && g_.nodes[owner].cycle == n.cycle);
  }
  return cycle ? grounds::in_cycle : ended ? grounds::owner_ended : grounds::owner_leaked;
}

// Is this one of the owners that the reason speaks of?
bool verdict_writer::is_meant(const lock_edge& e, grounds reason) const noexcept {
  if (reason == grounds::owner_ended) return e.owner == no_node;
  if (e.owner == no_node || g_.nodes[e.owner].live) return false;
  return reason != grounds::in_cycle || g_.nodes[e.owner].cycle == g_.nodes[e.waiter].cycle;
}

void verdict_writer::name_owners(std::uint32_t number, verdict& v) const noexcept {
  for (std::uint32_t e = g_.nodes[number].owners; e != no_edge; e = g_.edges[e].next_owner) {
    if (!is_meant(g_.edges[e], v.reason)) continue;
    bool known = false;
    for (std::uint32_t i = 0; i < v.owner_count && i < verdict::owners_named; i++) {
      known = known || v.owner_ids[i] == g_.edges[e].owner_id;
    }
    if (known) continue;
    if (v.owner_count < verdict::owners_named) v.owner_ids[v.owner_count] = g_.edges[e].owner_id;
    v.owner_count++;
  }
}

void verdict_writer::name_cause(const blame& b, verdict& v) const noexcept {
  if (b.waits_for != no_node) v.waits_for = g_.nodes[b.waits_for].id;
  if (b.root != no_node) v.root = g_.nodes[b.root].id;
  v.ring = b.ring;
  v.heap_bytes = b.heap_bytes;
  static_assert(few_nodes::room <= few_ids::room);
  for (std::uint32_t waker : b.wakers) v.wakers.at[v.wakers.count++] = g_.nodes[waker].id;
  v.wakers.all_known = !b.wakers.more;
  if (b.several.count == 0) return;
  static_assert(few_nodes::room <= verdict::owners_named);
  for (std::uint32_t helper : b.several) v.owner_ids[v.owner_count++] = g_.nodes[helper].id;
  if (b.several.more) v.owner_count = verdict::owners_named + 1;
}

void verdict_writer::write(std::uint32_t number, verdict_tier tier, grounds reason, std::uintptr_t at) noexcept {
  const node& n = g_.nodes[number];
  if (n.is_main) {
    log_.main_is_stuck = true;
  } else if (log_.count == log_.room) {
    return;
  }
  verdict& v = n.is_main ? log_.main : log_.list[log_.count++];
  v = {n.record, tier, reason, n.for_reading, n.source, wait_id(n.id, n.seq), at, n.stack, 0, {}, 0, 0, false, 0, {}};
  name_owners(number, v);
  if (blames_.size != 0) name_cause(blames_[number], v);
}

void verdict_writer::write_leak(std::uint32_t number) noexcept {
  const grounds reason = reason_of(number);
  const bool cycle = reason == grounds::in_cycle || reason == grounds::owner_is_self;
  write(number, cycle ? verdict_tier::cycle : verdict_tier::proven, reason, 0);
}

}  // namespace stray::leak
