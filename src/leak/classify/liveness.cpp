#include "leak/classify/liveness.h"

#include "leak/model/handle_words.h"

namespace stray::leak {

using trace::marker;
using trace::origin;

void liveness::locate(const trace::word& w) noexcept {
  detail::handle_kind kind;
  bool counted = false;
  core_state* c = core_of(g_, w.value);
  if (c != nullptr && is_handle(g_, w, &kind, &counted) && counted) c->located++;
}

void liveness::finalize_counts(bool count_rule, bool only_looked) noexcept {
  for (core_state& c : g_.cores) c.exact = c.exists && count_rule && (c.located == c.refs || only_looked);
  for (node& n : g_.nodes) {
    if (n.what != node::candidate || n.rule != live_rule::handle) continue;
    for (std::uint32_t i = 0; i < n.wait_count; i++) {
      core_state* c = core_of(g_, g_.waits[n.first_wait + i].primitive);
      n.uncounted = n.uncounted || (c != nullptr && !c->exact && count_rule);
    }
  }
}

bool liveness::index_embedded() noexcept {
  std::size_t n = 0;
  for (const node& x : g_.nodes) n += x.what == node::candidate && x.rule == live_rule::reference ? x.wait_count : 0;
  embedded_ = {memory_.array<waited_on>(n), 0};
  if (n != 0 && embedded_.data == nullptr) return false;
  for (std::uint32_t i = 0; i < g_.nodes.size; i++) {
    const node& x = g_.nodes[i];
    if (x.what != node::candidate || x.rule != live_rule::reference) continue;
    for (std::uint32_t k = 0; k < x.wait_count; k++) {
      embedded_[embedded_.size++] = {g_.waits[x.first_wait + k].primitive, i};
    }
  }
  trace::sort(embedded_.data, embedded_.size, [](const waited_on& a, const waited_on& b) { return a.primitive < b.primitive; });
  return true;
}

void liveness::enter(marker& m, std::uint32_t number, const arrival& how) noexcept {
  node& n = g_.nodes[number];
  if (n.entered) return;
  n.entered = true;
  if (path_ != nullptr) path_->entered[number] = how;
  if (n.closure.size() != 0) m.push(n.closure, origin::memory);
  if (n.is_thread) {
    if (n.what == node::candidate) m.push_thread(n.tid);
  } else if (n.stack.size() != 0 && !n.on_cpu) {
    m.push(n.stack, n.interrupted ? origin::running : origin::memory);
    if (n.elsewhere == 0) return;
    const base::range slot = g_.slot_of(n.elsewhere - 1).where;
    if (slot.size() != 0) {
      m.push({n.elsewhere, slot.hi}, origin::memory);
    } else {
      m.push_memory_of(n.elsewhere);
    }
  }
}

void liveness::note_live(std::uint32_t number, const arrival& how) noexcept {
  g_.nodes[number].live = true;
  if (path_ != nullptr) path_->live[number] = how;
  order_.push(memory_, number);
}

void liveness::make_live(marker& m, std::uint32_t number, const arrival& how) noexcept {
  if (g_.nodes[number].live) return;
  note_live(number, how);
  for (std::size_t next = order_.size() - 1; next < order_.size(); next++) {
    std::uint32_t at = order_[next];
    enter(m, at, {});
    for (std::uint32_t e = g_.nodes[at].blocks; e != no_edge; e = g_.edges[e].next_blocked) {
      node& waiter = g_.nodes[g_.edges[e].waiter];
      if (waiter.live || --waiter.owners_left != 0) continue;
      note_live(g_.edges[e].waiter, {arrival::owner, true, at});
    }
  }
}

void liveness::wake_list(marker& m, std::uint32_t head, const arrival& how) noexcept {
  for (std::uint32_t w = head; w != no_node; w = g_.waits[w].next) make_live(m, g_.waits[w].node, how);
}

void liveness::use_core(marker& m, core_state& c, detail::handle_kind kind, const arrival& how) noexcept {
  if (!c.marked_ring && c.ring.size() != 0) {
    c.marked_ring = true;
    m.mark_block(c.ring.lo);
  }
  if (!c.woke_senders) {  // a receive takes from them, and a close by a send handle makes them throw, which C++ may catch
    c.woke_senders = true;
    wake_list(m, c.senders, how);
  }
  if (!c.woke_receivers && kind != detail::handle_kind::recv) {
    c.woke_receivers = true;
    wake_list(m, c.receivers, how);
  }
}

void liveness::hit(marker& m, const trace::word& w) noexcept {
  if (core_state* c = core_of(g_, w.value)) {
    detail::handle_kind kind = detail::handle_kind::full;
    bool checked = is_handle(g_, w, &kind);
    if (!checked) {
      if (c->exact && w.from != origin::running) return;  // a stale copy
      kind = detail::handle_kind::full;
    }
    return use_core(m, *c, kind, {arrival::word, checked, no_node, core_number(g_, w.value), m.step()});
  }
  std::uint32_t number = g_.slot_of(w.value).node;
  if (number != no_node) {
    const node& n = g_.nodes[number];
    if (n.what != node::none && (n.stack.holds(w.value) || n.what == node::root || n.is_thread))
      enter(m, number, {arrival::word, true, no_node, no_core, m.step()});
  }
  // An unstarted closure in its record, reached by a pointer into it: its task is runnable, a root already.
}

// The second colour: what a candidate's frames lead to besides blocks.
void liveness::reached(marker& m, const trace::word& w) noexcept {
  core_state* c = core_of(g_, w.value);
  if (c != nullptr && c->ring.size() != 0) m.reach_block(c->ring.lo);
}

// Embedded primitives in live memory are referenced.
void liveness::covered(marker& m, base::range live) noexcept {
  const trace::slice<waited_on>& e = embedded_;
  if (e.size == 0 || live.hi <= e[0].primitive || live.lo > e[e.size - 1].primitive) return;
  for (std::size_t i = first_from({e.data, e.size}, live.lo); i < e.size && e[i].primitive < live.hi; i++)
    make_live(m, e[i].node, {arrival::covered, true, no_node, no_core, e[i].primitive});
}

}  // namespace stray::leak
