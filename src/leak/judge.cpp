#include "leak/judge.h"

#include "leak/blame.h"
#include "leak/handle_words.h"
#include "leak/left_frames.h"
#include "leak/look_first.h"
#include "leak/path.h"
#include "runtime/worker.h"
#include "trace/doubts.h"
#include "trace/fault_guard.h"
#include "trace/image.h"
#include "trace/mark.h"

namespace stray::leak {

namespace {

using runtime::live_rule;
using trace::marker;
using trace::origin;

struct judge_state {
  judge_request* request;
  trace::slice<waited_on> embedded;    // by address
  trace::slice<blame> blames;          // empty: not known yet
  trace::list<std::uint32_t> pending;  // nodes made live, whose lock waiters are still to follow
  trace::list<base::range> given;      // live from the beginning, besides roots
  bool marking = false;

  wait_graph& graph() noexcept { return request->graph; }
};
judge_state state;  // the child's own

judge_request& of(void* self) noexcept { return *static_cast<judge_request*>(self); }

bool ensure_filled(judge_request& r) noexcept {
  if (!r.filled) {
    r.filled = true;
    r.failed = !fill_from_goroutines(r.view, *r.memory, r.graph) || r.memory->exhausted();
    state = {};
    state.request = &r;
  }
  return !r.failed;
}

// --- handle words -------------------------------------------------------------------------------------------------------------------

void locate(void* self, const trace::word& w) noexcept {
  judge_request& r = of(self);
  if (!ensure_filled(r)) return;
  detail::handle_kind kind;
  core_state* c = core_of(r.graph, w.value);
  if (c != nullptr && is_handle(r.graph, w, &kind)) c->located++;
}

// --- liveness -----------------------------------------------------------------------------------------------------------------------

void enter(wait_graph& g, marker& m, std::uint32_t number, const arrival& how) noexcept {
  node& n = g.nodes[number];
  if (n.entered) return;
  n.entered = true;
  if (state.request->path != nullptr) state.request->path->entered[number] = how;
  if (n.closure.size() != 0) m.push(n.closure, origin::memory);
  if (n.is_thread) {
    if (n.what == node::candidate) m.push_thread(n.tid);
  } else if (n.stack.size() != 0 && !n.on_cpu) {
    m.push(n.stack, n.interrupted ? origin::running : origin::memory);
    if (n.elsewhere == 0) return;
    const base::range slot = g.slot_of(n.elsewhere - 1).where;
    if (slot.size() != 0) {
      m.push({n.elsewhere, slot.hi}, origin::memory);
    } else {
      m.push_memory_of(n.elsewhere);
    }
  }
}

void note_live(std::uint32_t number, const arrival& how) noexcept {
  if (state.request->path != nullptr) state.request->path->live[number] = how;
}

void make_live(wait_graph& g, marker& m, std::uint32_t number, const arrival& how) noexcept {
  if (g.nodes[number].live) return;
  g.nodes[number].live = true;
  note_live(number, how);
  state.pending.push(*state.request->memory, number);
  for (std::size_t next = state.pending.size() - 1; next < state.pending.size(); next++) {
    std::uint32_t at = state.pending[next];
    enter(g, m, at, {});
    for (std::uint32_t e = g.nodes[at].blocks; e != no_edge; e = g.edges[e].next_blocked) {
      node& waiter = g.nodes[g.edges[e].waiter];
      if (waiter.live || --waiter.owners_left != 0) continue;
      waiter.live = true;
      note_live(g.edges[e].waiter, {arrival::owner, true, at});
      state.pending.push(*state.request->memory, g.edges[e].waiter);
    }
  }
}

void wake_list(wait_graph& g, marker& m, std::uint32_t head, const arrival& how) noexcept {
  for (std::uint32_t w = head; w != no_node; w = g.waits[w].next) make_live(g, m, g.waits[w].node, how);
}

// A live holder of this kind can do what the table of docs/design/README.md lets it.
void use_core(wait_graph& g, marker& m, core_state& c, detail::handle_kind kind, const arrival& how) noexcept {
  if (!c.marked_ring && c.ring.size() != 0) {
    c.marked_ring = true;
    m.mark_block(c.ring.lo);
  }
  if (!c.woke_senders) {  // a receive takes from them, and a close by a send handle makes them throw, which C++ may catch
    c.woke_senders = true;
    wake_list(g, m, c.senders, how);
  }
  if (!c.woke_receivers && kind != detail::handle_kind::recv) {
    c.woke_receivers = true;
    wake_list(g, m, c.receivers, how);
  }
}

void hit(void* self, marker& m, const trace::word& w) noexcept {
  wait_graph& g = of(self).graph;
  if (core_state* c = core_of(g, w.value)) {
    detail::handle_kind kind = detail::handle_kind::full;
    bool checked = is_handle(g, w, &kind);
    if (!checked) {
      if (c->exact && w.from != origin::running) return;  // a stale copy
      kind = detail::handle_kind::full;
    }
    return use_core(g, m, *c, kind, {arrival::word, checked, no_node, core_number(g, w.value), m.step()});
  }
  std::uint32_t number = g.slot_of(w.value).node;
  if (number != no_node) {
    const node& n = g.nodes[number];
    if (n.what != node::none && (n.stack.holds(w.value) || n.what == node::root || n.is_thread))
      enter(g, m, number, {arrival::word, true, no_node, no_core, m.step()});
  }
  // An unstarted closure in its record, reached by a pointer into it: its task is runnable, a root already.
}

// The second colour: what a candidate's frames lead to besides blocks.
void reached(void* self, marker& m, const trace::word& w) noexcept {
  core_state* c = core_of(of(self).graph, w.value);
  if (c != nullptr && c->ring.size() != 0) m.reach_block(c->ring.lo);
}

// Embedded primitives in live memory are referenced.
void covered(void* self, marker& m, trace::range live) noexcept {
  trace::slice<waited_on>& e = state.embedded;
  if (e.size == 0 || live.hi <= e[0].primitive || live.lo > e[e.size - 1].primitive) return;
  for (std::size_t i = first_from({e.data, e.size}, live.lo); i < e.size && e[i].primitive < live.hi; i++)
    make_live(of(self).graph, m, e[i].node, {arrival::covered, true, no_node, no_core, e[i].primitive});
}

node* node_of(wait_graph& g, const runtime::task* t) noexcept {
  return t == nullptr ? nullptr : &g.nodes[(reinterpret_cast<std::uintptr_t>(t) - g.task_slab.lo) / g.task_size];
}

// It runs, and its thread stands on another stack, with registers of its own there.
void interrupt(wait_graph& g, node& n) noexcept {
  if (n.what == node::none || n.stack.size() == 0) return;
  n.interrupted = true;
  n.stack.lo = g.slot_of(n.stack.hi - 1).where.lo;
}

trace::thread_rule rule_of_worker(wait_graph& g, const runtime::worker& w, std::uintptr_t sp) noexcept {
  using trace::thread_rule;
  node* running = node_of(g, w.running);
  const stack_slot at = g.slot_of(sp - 1);
  if (at.where.size() == 0) {
    if (w.native.holds(sp)) return {thread_rule::idle};  // rule 4
    if (running != nullptr) interrupt(g, *running);
    return w.alternate.holds(sp) ? thread_rule{thread_rule::busy, w.alternate.hi, w.alternate.lo}
                                 : thread_rule{thread_rule::busy};
  }
  node* owner = at.node == no_node ? nullptr : &g.nodes[at.node];
  // Neither left a moment ago nor its own: one goroutine stands on a stack that it has made on another's.
  if (running != nullptr && running != owner && owner != nullptr && owner != node_of(g, w.previous)) interrupt(g, *running);
  if (owner == nullptr || owner->what == node::none)
    return {thread_rule::idle, at.where.hi, at.where.lo};  // of one that has ended: rule 4
  owner->on_cpu = true;
  owner->stack = {sp > at.where.lo ? sp : at.where.lo, at.where.hi};
  return {thread_rule::busy, at.where.hi, at.where.lo};
}

bool is_service(const source_view& view, int tid) noexcept {
  if (tid == view.detector_tid) return true;
  if (view.services == nullptr) return false;
  for (const std::atomic<int>& t : view.services->tid) {
    if (t.load(std::memory_order_relaxed) == tid) return true;  // order: frozen
  }
  return false;
}

trace::thread_rule rule(void* self, int tid, std::uintptr_t sp) noexcept {
  judge_request& r = of(self);
  if (is_service(r.view, tid)) return {trace::thread_rule::ours};
  if (tid == r.view.watcher_tid) return {trace::thread_rule::idle};  // rule 4
  if (!ensure_filled(r)) return {};
  wait_graph& g = r.graph;
  for (int i = 0; i < r.view.worker_count; i++) {
    const runtime::worker& w = r.view.workers[i];
    if (w.tid.load(std::memory_order_relaxed) == 0) break;       // order: frozen; they are made in order
    if (w.tid.load(std::memory_order_relaxed) != tid) continue;  // order: frozen
    return rule_of_worker(g, w, sp);
  }
  const stack_slot slot = g.slot_of(sp - 1);
  const base::range lent = slot.where;  // a fiber's stack may be an array in a goroutine's frame
  const bool own = slot.node != no_node && g.nodes[slot.node].has_forked;
  for (std::size_t i = 0; i < g.nodes.size; i++) {
    const node& n = g.nodes[i];
    if (n.what == node::none || !n.is_thread || n.tid != tid) continue;
    if (n.what == node::candidate) return {trace::thread_rule::parked, lent.hi, lent.lo, own};
    if (n.blocked) return {trace::thread_rule::settled, lent.hi, lent.lo, own};
  }
  return {trace::thread_rule::foreign, lent.hi, lent.lo, own};
}

// --- the stages ---------------------------------------------------------------------------------------------------------------------

void locate_tasks(judge_request& r, marker& m) noexcept {
  trace::slice<node>& nodes = r.graph.nodes;
  for (std::size_t i = 0; i < nodes.size; i++) {
    prefetch_stack_ahead(nodes, i, nodes.size);
    const node& n = nodes[i];
    if (n.what == node::none) continue;
    if (n.closure.size() != 0) m.locate_span(n.closure, origin::memory);
    if (!n.is_thread && n.stack.size() != 0 && !n.on_cpu) m.locate_span(n.stack, origin::memory);
  }
}

// What is live whoever leads there: roots of the program's own, and the pages of stacks that a fork has left.
bool list_given(judge_request& r, trace::image& image) noexcept {
  bool room = true;
  for (unsigned i = 0; i < r.extra_count; i++) room = state.given.push(*r.memory, r.extra_roots[i]) && room;
  if (image.is_off(trace::root::inherited) || r.graph.inherited.size() == 0) return room;
  image.pages.open();
  for (const inherited_stack& s : r.graph.inherited) {
    const int tid = s.tid == inherited_stack::main_thread ? image.parent_pid : s.tid;
    bool stood_on = false;
    if (tid != 0) {
      for (const trace::stopped_thread& t : image.threads) stood_on = stood_on || (t.tid == tid && s.where.holds(t.sp - 1));
    }
    if (!stood_on) image.pages.each_run(s.where, [&](base::range run) { room = state.given.push(*r.memory, run) && room; });
  }
  image.pages.close();
  return room;
}

// Where threads were only looked at, handles that were not located lie in frames unseen: stale words must not hide what those could refute.
void settle_counts(judge_request& r, bool only_looked) noexcept {
  wait_graph& g = r.graph;
  for (core_state& c : g.cores) c.exact = c.exists && r.count_rule && (c.located == c.refs || only_looked);
  for (node& n : g.nodes) {
    if (n.what != node::candidate || n.rule != live_rule::chan) continue;
    for (std::uint32_t i = 0; i < n.wait_count; i++) {
      core_state* c = core_of(g, g.waits[n.first_wait + i].primitive);
      n.uncounted = n.uncounted || (c != nullptr && !c->exact && r.count_rule);
    }
  }
}

bool index_embedded(judge_request& r) noexcept {
  wait_graph& g = r.graph;
  std::size_t n = 0;
  for (const node& x : g.nodes) n += x.what == node::candidate && x.rule == live_rule::reference ? x.wait_count : 0;
  state.embedded = {r.memory->array<waited_on>(n), 0};
  if (n != 0 && state.embedded.data == nullptr) return false;
  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    const node& x = g.nodes[i];
    if (x.what != node::candidate || x.rule != live_rule::reference) continue;
    for (std::uint32_t k = 0; k < x.wait_count; k++) {
      state.embedded[state.embedded.size++] = {g.waits[x.first_wait + k].primitive, i};
    }
  }
  trace::sort(state.embedded.data, state.embedded.size,
              [](const waited_on& a, const waited_on& b) { return a.primitive < b.primitive; });
  return true;
}

grounds reason_of(const wait_graph& g, std::uint32_t number) noexcept {
  const node& n = g.nodes[number];
  switch (n.rule) {
    case live_rule::nobody:
      return grounds::nobody;
    case live_rule::chan:
      return n.wait_count == 0 ? grounds::nobody : grounds::no_holder;
    case live_rule::reference:
      return grounds::no_reference;
    default:
      break;
  }
  bool ended = false, cycle = false;
  for (std::uint32_t e = n.owners; e != no_edge; e = g.edges[e].next_owner) {
    std::uint32_t owner = g.edges[e].owner;
    if (owner == number) return grounds::owner_is_self;
    ended = ended || owner == no_node;
    cycle = cycle || (owner != no_node && n.cycle != 0 && g.nodes[owner].cycle == n.cycle);
  }
  return cycle ? grounds::in_cycle : ended ? grounds::owner_ended : grounds::owner_leaked;
}

// Is this one of the owners that the reason speaks of?
bool is_meant(const wait_graph& g, const lock_edge& e, grounds reason) noexcept {
  if (reason == grounds::owner_ended) return e.owner == no_node;
  if (e.owner == no_node || g.nodes[e.owner].live) return false;
  return reason != grounds::in_cycle || g.nodes[e.owner].cycle == g.nodes[e.waiter].cycle;
}

void name_owners(const wait_graph& g, std::uint32_t number, verdict& v) noexcept {
  for (std::uint32_t e = g.nodes[number].owners; e != no_edge; e = g.edges[e].next_owner) {
    if (!is_meant(g, g.edges[e], v.reason)) continue;
    bool known = false;
    for (std::uint32_t i = 0; i < v.owner_count && i < verdict::owners_named; i++) {
      known = known || v.owner_ids[i] == g.edges[e].owner_id;
    }
    if (known) continue;
    if (v.owner_count < verdict::owners_named) v.owner_ids[v.owner_count] = g.edges[e].owner_id;
    v.owner_count++;
  }
}

void add_verdict(judge_request& r, std::uint32_t number, verdict_tier tier, grounds reason, std::uintptr_t at) noexcept {
  const node& n = r.graph.nodes[number];
  verdict_log& log = *r.log;
  if (n.is_main) {
    log.main_is_stuck = true;
  } else if (log.count == log.room) {
    return;
  }
  verdict& v = n.is_main ? log.main : log.list[log.count++];
  v = {n.record, tier, reason, n.for_reading, wait_id(n.id, n.seq), at, n.stack, 0, {}, 0, 0, false, 0};
  name_owners(r.graph, number, v);
  if (state.blames.size == 0) return;
  const blame& b = state.blames[number];
  if (b.waits_for != no_node) v.waits_for = r.graph.nodes[b.waits_for].id;
  if (b.root != no_node) v.root = r.graph.nodes[b.root].id;
  v.ring = b.ring;
  v.heap_bytes = b.heap_bytes;
  if (b.several.count == 0) return;
  static_assert(few_nodes::room <= verdict::owners_named);
  for (std::uint32_t helper : b.several) v.owner_ids[v.owner_count++] = r.graph.nodes[helper].id;
  if (b.several.more) v.owner_count = verdict::owners_named + 1;
}

// Those that became live in a weaker stage than the first are reported as likely, with the word that did it.
struct stage {
  judge_request* request;
  grounds reason;
  std::size_t seen;  // pending nodes looked at so far
};
void after(void* arg, std::uintptr_t at) noexcept {
  auto& s = *static_cast<stage*>(arg);
  for (; s.seen < state.pending.size(); s.seen++) {
    std::uint32_t number = state.pending[s.seen];
    if (s.request->graph.nodes[number].what == node::candidate) {
      add_verdict(*s.request, number, verdict_tier::likely, s.reason, at);
    }
  }
}

void after_word(void* arg, const trace::word& w) noexcept { after(arg, w.at); }
void after_block(void* arg, trace::range block) noexcept { after(arg, block.lo); }

// Who is left over and not known to have leaked: only for such a one is it worth to search for more.
bool any_new(const judge_request& r) noexcept {
  for (const node& n : r.graph.nodes) {
    if (n.what == node::candidate && !n.live && (r.known == nullptr || !r.known->holds(wait_id(n.id, n.seq)))) return true;
  }
  return false;
}

// Pointers at any offset. Of blocks the marker knows which are live; of stacks and closures we do.
bool search_unaligned(judge_request& r, marker& m, const trace::list<base::range>& left) noexcept {
  wait_graph& g = r.graph;
  trace::list<base::range> live;
  bool room = true;
  for (const node& n : g.nodes) {
    if (n.what == node::none || !n.entered) continue;
    if (n.closure.size() != 0) room = live.push(*r.memory, n.closure) && room;
    if (!n.is_thread && n.stack.size() != 0 && !n.on_cpu) room = live.push(*r.memory, n.stack) && room;
  }
  for (const base::range& s : state.given) room = live.push(*r.memory, s) && room;
  for (const base::range& below : left) room = live.push(*r.memory, below) && room;
  stage unaligned{&r, grounds::unaligned, state.pending.size()};
  m.mark_unaligned({live.begin(), live.size()}, after, &unaligned);
  return room;
}

// Of those who are left: who would wake if all that is not live were?
void suspect_what_is_out_of_sight(judge_request& r, trace::image& image, marker& m, left_frames& left) noexcept {
  const trace::doubt_log* doubts = image.doubts;
  if (doubts == nullptr || doubts->used == 0 || image.is_off(trace::root::out_of_sight)) return;
  wait_graph& g = r.graph;
  stage hidden{&r, grounds::out_of_sight, state.pending.size()};
  for (std::uint32_t i = 0; i < doubts->used; i++) {
    const trace::doubt& d = doubts->list[i];
    if (d.lo != d.hi) covered(&r, m, {d.lo, d.hi});
    after(&hidden, i);
  }
  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    if (g.nodes[i].what == node::candidate && !g.nodes[i].live) enter(g, m, i, {});
  }
  m.drain();
  after(&hidden, 0);
  left.search(after, &hidden);
}

}  // namespace

trace::client judge_client(judge_request& request) noexcept {
  return {&request, request.view.reservation, rule, locate, hit, reached, covered, request.view.entry};
}

void judge(void* arg, trace::image& image) noexcept {
  judge_request& r = of(arg);
  verdict_log& log = *r.log;
  if (!ensure_filled(r)) return;
  wait_graph& g = r.graph;
  log.candidates = g.candidates;
  log.blind = !image.heap_known;
  if (g.candidates == 0) {
    log.finished = true;
    return;
  }

  if (r.path != nullptr && !begin_path(*r.path, g, image, *r.memory)) return;
  marker m(image, r.path != nullptr ? &r.path->trail : nullptr);
  m.locate();
  locate_tasks(r, m);
  if (!list_given(r, image)) return;
  for (const base::range& s : state.given) m.locate_span(s, origin::memory);
  settle_counts(r, image.looked != 0);
  if (!index_embedded(r)) return;

  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    if (g.nodes[i].what == node::root) make_live(g, m, i, {arrival::root});
  }
  for (const base::range& s : state.given) m.push(s, origin::memory);
  m.set_step(trace::trail_mark::by_client);
  for (std::uintptr_t at : g.armed) {
    if (r.timer_roots) m.mark_block(at);
  }
  m.mark_roots();

  stage weak{&r, grounds::weak_word, state.pending.size()};
  m.mark_weak(after_word, &weak);

  if (!image.is_off(trace::root::orphans)) {
    std::size_t pushed = 0;
    for (const node& n : g.nodes) {
      if (n.what != node::candidate || n.live) continue;
      if (n.is_thread) {
        m.reach_thread(n.tid);
      } else if (n.stack.size() != 0) {
        m.reach_push(n.stack);
        if (n.elsewhere != 0) m.reach_block(n.elsewhere);
      }
      if (++pushed % 1024 == 0) m.drain();  // the list of spans stays in the caches
    }
    m.drain();
    stage orphans{&r, grounds::orphan, state.pending.size()};
    m.mark_orphans(after_block, &orphans);
  }

  left_frames left(r.graph, image, m);
  if (any_new(r)) {
    stage frames{&r, grounds::left_frames, state.pending.size()}, contexts{&r, grounds::saved_context, 0};
    left.begin();
    do {
      frames.seen = state.pending.size();
      left.search(after, &frames);
      if (!search_unaligned(r, m, left.found())) return;
      contexts.seen = state.pending.size();
    } while (left.follow_contexts(after, &contexts) || left.search(after, &frames));  // of whom the last search has made live
  }
  const bool too_many = image.doubts != nullptr && image.doubts->full;
  const bool unsafe = (too_many || image.unstopped != 0 || image.blind + trace::faults_met() != 0) && image.looked == 0;
  if (!find_cycles(g, *r.memory)) return;
  if (r.with_blame) find_blame(g, m, {state.embedded.data, state.embedded.size}, state.blames);
  if (r.path != nullptr) find_path(*r.path, g, image, *r.memory);
  suspect_what_is_out_of_sight(r, image, m, left);
  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    const node& n = g.nodes[i];
    if (n.what != node::candidate || n.live) continue;
    if (unsafe) {
      add_verdict(r, i, verdict_tier::likely, grounds::not_stopped, 0);
      log.undecided++;
    } else if (n.uncounted) {
      add_verdict(r, i, verdict_tier::likely, grounds::uncounted, 0);
    } else {
      grounds reason = reason_of(g, i);
      bool cycle = reason == grounds::in_cycle || reason == grounds::owner_is_self;
      add_verdict(r, i, cycle ? verdict_tier::cycle : verdict_tier::proven, reason, 0);
    }
  }
  if (!image.heap_known) {
    for (const node& n : g.nodes) log.undecided += n.what == node::candidate && n.live ? 1 : 0;
  }
  log.finished = !r.memory->exhausted();
}

}  // namespace stray::leak
