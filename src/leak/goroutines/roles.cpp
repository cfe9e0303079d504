// What each thread of the frozen process is to the tracer, told from the wait graph and the workers' records. Pure; runs in the snapshot.
//
// 1. A worker on its own native stack is not scanned: what it has in hand is told by state words (CLAIM), and no byte of the program's is
//    there. Scanning it hides a goroutine that has just parked: its record is still in a register (3 of 60 reports of the demo). The same
//    holds for the watcher.
// 2. The graph's nodes are completed on the way: a goroutine that a worker runs is on_cpu, and one whose thread stands on another stack is
//    interrupted. So this runs before any node's stack is read.
#include "leak/goroutines/frozen.h"

namespace stray::leak {

namespace {

using trace::thread_role;

// It runs, and its thread stands on another stack, with registers of its own there.
void interrupt(wait_graph& g, node& n) noexcept {
  if (n.what == node::none || n.stack.size() == 0) return;
  n.interrupted = true;
  n.stack.lo = g.slot_of(n.stack.hi - 1).where.lo;
}

thread_role role_of_worker(const frozen_goroutines& view, wait_graph& g, const runtime::worker& w, std::uintptr_t sp) noexcept {
  node* running = view.node_of(w.running);
  const stack_slot at = g.slot_of(sp - 1);
  if (at.where.size() == 0) {
    if (w.native.holds(sp)) return {thread_role::idle};
    if (running != nullptr) interrupt(g, *running);
    return w.alternate.holds(sp) ? thread_role{thread_role::busy, w.alternate.hi, w.alternate.lo}
                                 : thread_role{thread_role::busy};
  }
  node* owner = at.node == no_node ? nullptr : &g.nodes[at.node];
  // Neither left a moment ago nor its own: one goroutine stands on a stack that it has made on another's.
  if (running != nullptr && running != owner && owner != nullptr && owner != view.node_of(w.previous)) interrupt(g, *running);
  if (owner == nullptr || owner->what == node::none)
    return {thread_role::idle, at.where.hi, at.where.lo};  // of one that has ended
  owner->on_cpu = true;
  owner->stack = {sp > at.where.lo ? sp : at.where.lo, at.where.hi};
  return {thread_role::busy, at.where.hi, at.where.lo};
}

bool is_service(const frozen_goroutines& view, int tid) noexcept {
  if (tid == view.detector_tid) return true;
  if (view.services == nullptr) return false;
  for (const std::atomic<int>& t : view.services->tid) {
    if (t.load(std::memory_order_relaxed) == tid) return true;  // order: frozen
  }
  return false;
}

const runtime::worker* worker_of(const frozen_goroutines& view, int tid) noexcept {
  for (int i = 0; i < view.worker_count; i++) {
    const int its = view.workers[i].tid.load(std::memory_order_relaxed);  // order: frozen
    if (its == 0) break;                                                  // they are made in order
    if (its == tid) return &view.workers[i];
  }
  return nullptr;
}

// A thread of the program's own, perhaps blocked in a primitive. false: neither that nor on a stack of a goroutine.
bool role_of_program_thread(const frozen_goroutines& view, const wait_graph& g, int tid, std::uintptr_t sp,
                            thread_role& role) noexcept {
  const stack_slot slot = g.slot_of(sp - 1);
  const base::range lent = slot.where;  // a fiber's stack may be an array in a goroutine's frame
  const bool own = slot.node != no_node && g.nodes[slot.node].has_forked;
  role = {thread_role::foreign, lent.hi, lent.lo, own};
  for (const node& n : view.nodes) {
    if (n.what == node::none || !n.is_thread || n.tid != tid) continue;
    if (n.what == node::candidate) role.what = thread_role::parked;
    if (n.what != node::candidate && n.blocked) role.what = thread_role::settled;
    return true;
  }
  return lent.size() != 0;
}

}  // namespace

bool role_of_thread(const void* self, wait_graph& g, const trace::stopped_thread& t, thread_role& role) noexcept {
  const auto& view = *static_cast<const frozen_goroutines*>(self);
  if (is_service(view, t.tid)) {
    role = {thread_role::ours};
  } else if (t.tid == view.watcher_tid) {
    role = {thread_role::idle};
  } else if (const runtime::worker* w = worker_of(view, t.tid)) {
    role = role_of_worker(view, g, *w, t.sp);
  } else {
    return role_of_program_thread(view, g, t.tid, t.sp, role);
  }
  return true;
}

}  // namespace stray::leak
