// Cycles of locks: the strongly connected components of "waits for an owner that is not live" (R. Tarjan, SIAM Journal on Computing 1 (1972)
// 146), without recursion; O(nodes + edges). A node that waits for itself alone is no component here: it has its own verdict.
// Pure; runs in the snapshot.
#include "leak/classify/cycles.h"

namespace stray::leak {

namespace {

struct visit {
  std::uint32_t order, low;  // order 0: not seen
  std::uint32_t edge;        // the next one to follow
  bool open;                 // its component is not complete
};

bool leaked(const node& n) noexcept { return n.what == node::candidate && !n.live; }

}  // namespace

bool find_cycles(wait_graph& g, trace::bump& memory) noexcept {
  if (g.edges.size() == 0) return true;
  auto* visits = memory.array<visit>(g.nodes.size);
  if (visits == nullptr) return false;
  trace::list<std::uint32_t> path, open;
  std::uint32_t order = 0, cycles = 0;
  auto begin = [&](std::uint32_t at) {
    ++order;
    visits[at] = {order, order, g.nodes[at].owners, true};
    return path.push(memory, at) && open.push(memory, at);
  };
  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    if (!leaked(g.nodes[i]) || g.nodes[i].owners == no_edge || visits[i].order != 0) continue;
    if (!begin(i)) return false;
    while (path.size() != 0) {
      std::uint32_t at = path[path.size() - 1];
      visit& v = visits[at];
      if (v.edge != no_edge) {
        std::uint32_t to = g.edges[v.edge].owner;
        v.edge = g.edges[v.edge].next_owner;
        if (to == no_node || !leaked(g.nodes[to])) continue;
        if (visits[to].order == 0) {
          if (!begin(to)) return false;
        } else if (visits[to].open && visits[to].order < v.low) {
          v.low = visits[to].order;
        }
        continue;
      }
      path.pop(at);
      if (path.size() != 0) {
        visit& parent = visits[path[path.size() - 1]];
        if (v.low < parent.low) parent.low = v.low;
      }
      if (v.low != v.order) continue;
      bool alone = open[open.size() - 1] == at;
      if (!alone) cycles++;
      for (std::uint32_t member = no_node; member != at;) {
        open.pop(member);
        visits[member].open = false;
        g.nodes[member].cycle = alone ? 0 : cycles;
      }
    }
  }
  return true;
}

}  // namespace stray::leak
