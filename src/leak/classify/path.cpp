#include "leak/classify/path.h"

#include "leak/model/handle_words.h"
#include "trace/image.h"

namespace stray::leak {

namespace {

namespace trail_mark = trace::trail_mark;

struct walker {
  path_request& p;
  const wait_graph& g;
  const trace::image& in;
  trace::bump& memory;
  trace::list<hop> hops{};

  bool add(hop h) noexcept { return hops.push(memory, h); }

  // How `number` became live. The next step, or false: it is a root.
  bool live_one(std::uint32_t number, std::uint64_t& at) noexcept {
    for (;;) {
      const arrival& a = p.live[number];
      switch (a.how) {
        case arrival::word:
          at = a.at;
          return add({hop::channel, 0, a.core, a.counted});
        case arrival::covered:
          at = a.at;
          return add({hop::primitive, a.at, 0, 0});
        case arrival::owner:
          if (!add({hop::lock, 0, 0, g.nodes[a.other].id})) return false;
          number = a.other;
          continue;
        case arrival::root:
        case arrival::none:
          add({hop::running, 0, 0, g.nodes[number].id});
          return false;
      }
      return false;
    }
  }

  bool stack_of(std::uint32_t number, std::uint64_t& at) noexcept {
    const arrival& a = p.entered[number];
    bool led_into = a.how == arrival::word;
    if (!led_into && p.live[number].how == arrival::root) {
      add({hop::running, 0, 0, g.nodes[number].id});
      return false;
    }
    if (!add({hop::stack, 0, 0, g.nodes[number].id})) return false;
    if (!led_into) return live_one(number, at);
    at = a.at;
    return true;
  }

  bool special(std::uint64_t at, std::uintptr_t block) noexcept {
    if (at == trail_mark::orphan) return add({hop::orphan, block, 0, 0});
    if (at == trail_mark::by_client) return add({hop::timer, block, 0, 0});
    return add({hop::registers, 0, 0, at & 0xffff'ffff});
  }

  // The word at `at` is live: what holds it? false: a root, or the end of what is known.
  bool holder(std::uint64_t& at) noexcept {
    if ((at & trail_mark::special) != 0) {
      special(at, 0);
      return false;
    }
    auto address = static_cast<std::uintptr_t>(at);
    std::uint32_t number = g.slot_of(address).node;
    if (number != no_node && g.nodes[number].what != node::none) return stack_of(number, at);
    if (const node* n = closure_at(address)) {
      add({hop::closure, 0, 0, n->id});
      return false;
    }
    trace::range block;
    if (in.blocks.block_of(address, block)) {
      std::uint64_t from = p.trail.of(block.lo);
      if (from != 0) {
        if ((from & trail_mark::special) != 0 && from >= trail_mark::orphan) {
          special(from, block.lo);
          return false;
        }
        at = from;
        return add({hop::block, block.lo, block.size(), 0});
      }
    }
    if (const trace::root_span* r = parked_at(address)) return parked_stack(r->tid, at);
    root(address);
    return false;
  }

  const node* closure_at(std::uintptr_t address) const noexcept {
    for (const node& n : g.nodes) {
      if (n.what != node::none && n.closure.holds(address)) return &n;
    }
    return nullptr;
  }

  // The stack of a thread that is blocked in a primitive is no root.
  const trace::root_span* parked_at(std::uintptr_t address) const noexcept {
    for (const trace::root_span& r : in.roots) {
      if (r.how == trace::root_span::strength::parked && address - r.lo < r.hi - r.lo) return &r;
    }
    return nullptr;
  }
  bool parked_stack(int tid, std::uint64_t& at) noexcept {
    if (!add({hop::thread_stack, 0, 0, static_cast<std::uint64_t>(tid)})) return false;
    at = p.trail.entered(tid);
    if (at != trail_mark::by_client) return at != 0;
    for (std::uint32_t i = 0; i < g.nodes.size; i++) {
      const node& n = g.nodes[i];
      if (n.what != node::none && n.is_thread && n.tid == tid) return live_one(i, at);
    }
    return false;
  }

  void root(std::uintptr_t address) noexcept {
    for (unsigned i = 0; i < p.extra_count; i++) {
      if (p.extra_roots[i].holds(address)) return static_cast<void>(add({hop::extra, address, 0, 0}));
    }
    for (const trace::root_span& r : in.roots) {
      if (address < r.lo || address >= r.hi) continue;
      auto tid = static_cast<std::uint64_t>(r.tid);
      switch (r.what) {
        case trace::root::tls:
          add({hop::thread_storage, address, 0, tid});
          return;
        case trace::root::stacks:
        case trace::root::red_zone:
          add({hop::thread_stack, address, 0, tid});
          return;
        case trace::root::data:
          add({hop::global, address, 0, 0});
          return;
        default:
          add({hop::mapping, address, 0, 0});
          return;
      }
    }
    add({hop::unknown, address, 0, 0});
  }
};

}  // namespace

bool begin_path(path_request& p, const wait_graph& g, trace::image& image, trace::bump& memory) noexcept {
  p.live = {memory.array<arrival>(g.nodes.size), g.nodes.size};
  p.entered = {memory.array<arrival>(g.nodes.size), g.nodes.size};
  if (p.live.data == nullptr || p.entered.data == nullptr || !p.trail.init(image.blocks, memory)) return false;
  for (arrival& a : p.live) a = arrival{};
  for (arrival& a : p.entered) a = arrival{};
  return true;
}

void find_path(path_request& p, const wait_graph& g, const trace::image& image, trace::bump& memory) noexcept {
  path_log& log = *p.log;
  std::uint32_t number = no_node;
  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    if (g.nodes[i].what == node::candidate && g.nodes[i].id == p.id) number = i;
  }
  if (number == no_node) return;
  const node& n = g.nodes[number];
  log.candidate = true;
  log.live = n.live;
  log.count = 0;  // a snapshot before may have left its own
  log.unseen = 0;
  if (n.live) {
    walker w{p, g, image, memory};
    std::uint64_t at = 0;
    // Each step goes to something that was live before: no more than there are blocks and nodes.
    std::size_t most = 2 * (image.blocks.blocks() + g.nodes.size) + 8;
    for (bool on = w.live_one(number, at); on && most != 0; most--) on = w.holder(at);
    for (hop& h : w.hops) {
      if (h.what != hop::channel) continue;
      const core_state& c = g.cores[h.size];
      if (c.refs > c.located) log.unseen += c.refs - c.located;
    }
    log.total = w.hops.size();
    for (std::size_t i = 0; i < w.hops.size(); i++) {
      bool kept = i < path_log::near || i + (path_log::room - path_log::near) >= w.hops.size();
      if (kept && log.count < path_log::room) log.hops[log.count++] = w.hops[i];
    }
  }
  log.complete = p.trail.complete() && !memory.exhausted();
}

}  // namespace stray::leak
