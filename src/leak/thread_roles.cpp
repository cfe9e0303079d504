#include "leak/thread_roles.h"

#include "runtime/worker.h"
#include "trace/image.h"

namespace stray::leak {

namespace {

using trace::thread_role;

node* node_of(wait_graph& g, const runtime::task* t) noexcept {
  return t == nullptr ? nullptr : &g.nodes[(reinterpret_cast<std::uintptr_t>(t) - g.task_slab.lo) / g.task_size];
}

// It runs, and its thread stands on another stack, with registers of its own there.
void interrupt(wait_graph& g, node& n) noexcept {
  if (n.what == node::none || n.stack.size() == 0) return;
  n.interrupted = true;
  n.stack.lo = g.slot_of(n.stack.hi - 1).where.lo;
}

thread_role role_of_worker(wait_graph& g, const runtime::worker& w, std::uintptr_t sp) noexcept {
  node* running = node_of(g, w.running);
  const stack_slot at = g.slot_of(sp - 1);
  if (at.where.size() == 0) {
    if (w.native.holds(sp)) return {thread_role::idle};
    if (running != nullptr) interrupt(g, *running);
    return w.alternate.holds(sp) ? thread_role{thread_role::busy, w.alternate.hi, w.alternate.lo}
                                 : thread_role{thread_role::busy};
  }
  node* owner = at.node == no_node ? nullptr : &g.nodes[at.node];
  // Neither left a moment ago nor its own: one goroutine stands on a stack that it has made on another's.
  if (running != nullptr && running != owner && owner != nullptr && owner != node_of(g, w.previous)) interrupt(g, *running);
  if (owner == nullptr || owner->what == node::none)
    return {thread_role::idle, at.where.hi, at.where.lo};  // of one that has ended
  owner->on_cpu = true;
  owner->stack = {sp > at.where.lo ? sp : at.where.lo, at.where.hi};
  return {thread_role::busy, at.where.hi, at.where.lo};
}

bool is_service(const source_view& view, int tid) noexcept {
  if (tid == view.detector_tid) return true;
  if (view.services == nullptr) return false;
  for (const std::atomic<int>& t : view.services->tid) {
    if (t.load(std::memory_order_relaxed) == tid) return true;  // order: frozen
  }
  return false;
}

const runtime::worker* worker_of(const source_view& view, int tid) noexcept {
  for (int i = 0; i < view.worker_count; i++) {
    const int its = view.workers[i].tid.load(std::memory_order_relaxed);  // order: frozen
    if (its == 0) break;                                                  // they are made in order
    if (its == tid) return &view.workers[i];
  }
  return nullptr;
}

// A thread of the program's own, perhaps blocked in a primitive.
thread_role role_of_program_thread(const wait_graph& g, int tid, std::uintptr_t sp) noexcept {
  const stack_slot slot = g.slot_of(sp - 1);
  const base::range lent = slot.where;  // a fiber's stack may be an array in a goroutine's frame
  const bool own = slot.node != no_node && g.nodes[slot.node].has_forked;
  for (const node& n : g.nodes) {
    if (n.what == node::none || !n.is_thread || n.tid != tid) continue;
    if (n.what == node::candidate) return {thread_role::parked, lent.hi, lent.lo, own};
    if (n.blocked) return {thread_role::settled, lent.hi, lent.lo, own};
  }
  return {thread_role::foreign, lent.hi, lent.lo, own};
}

}  // namespace

void assign_thread_roles(const source_view& view, wait_graph& g, trace::image& image) noexcept {
  for (std::size_t i = 0; i < image.threads.size; i++) {
    const trace::stopped_thread& t = image.threads[i];
    if (!t.stands_somewhere()) continue;
    thread_role& role = image.roles[i];
    if (is_service(view, t.tid)) {
      role = {thread_role::ours};
    } else if (t.tid == view.watcher_tid) {
      role = {thread_role::idle};
    } else if (const runtime::worker* w = worker_of(view, t.tid)) {
      role = role_of_worker(g, *w, t.sp);
    } else {
      role = role_of_program_thread(g, t.tid, t.sp);
    }
  }
}

}  // namespace stray::leak
