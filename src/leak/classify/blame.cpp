#include "leak/classify/blame.h"

#include "leak/model/handle_words.h"
#include "trace/image.h"
#include "trace/mark.h"

namespace stray::leak {

namespace {

bool leaked(const node& n) noexcept { return n.what == node::candidate && !n.live; }

struct core_helpers {
  few_nodes of_receivers, of_senders;
  few_nodes receivers;  // of those, who have a handle that can receive only: they are not there to close
};
struct reference_helpers {  // of one that waits on an embedded primitive
  few_nodes met;            // of the best rank
  few_nodes all;            // of any
  std::uint8_t rank;
};

// Whose a block is: a number for each 16 bytes of heap, in tables a segment, so that neighbours share a cache line. Untouched ones cost
// nothing. Rejected: a hash table by block address, 300 ns a block in a list of 5 M.
class owner_table {
 public:
  bool reserve(trace::bump& memory) noexcept {
    memory_ = &memory;
    segments_ = memory.array<std::uint32_t*>(segment_count);
    return segments_ != nullptr;
  }
  // nullptr: out of memory.
  std::uint32_t* at(std::uintptr_t block) noexcept {
    std::uint32_t*& owners = segments_[block >> trace::block_table::segment_shift];
    if (owners == nullptr) owners = memory_->array<std::uint32_t>(granules);
    return owners == nullptr ? nullptr : owners + ((block >> 4) & (granules - 1));
  }

 private:
  static constexpr std::size_t granules = std::size_t{1} << (trace::block_table::segment_shift - 4);
  static constexpr std::size_t segment_count = std::size_t{1} << (47 - trace::block_table::segment_shift);
  trace::bump* memory_ = nullptr;
  std::uint32_t** segments_ = nullptr;
};

// Is this word the address of an embedded primitive that somebody waits on? One of 65,536 bits first: nearly every word is not.
class address_filter {
 public:
  bool reserve(trace::bump& memory) noexcept { return (bits_ = memory.array<std::uint64_t>(1024)) != nullptr; }
  void add(std::uintptr_t address) noexcept { bits_[slot(address) / 64] |= std::uint64_t{1} << (slot(address) % 64); }
  bool may_hold(std::uintptr_t address) const noexcept { return (bits_[slot(address) / 64] >> (slot(address) % 64) & 1) != 0; }

 private:
  static std::size_t slot(std::uintptr_t address) noexcept { return (address * 0x9e37'79b9'7f4a'7c15U) >> 48; }
  std::uint64_t* bits_ = nullptr;
};

struct blamer {
  wait_graph& g;
  trace::marker& m;
  trace::bump& memory;
  trace::slice<const waited_on> embedded;
  trace::slice<blame>& out;
  trace::slice<core_helpers> helps{};
  trace::slice<reference_helpers> by_reference{};  // of a node
  owner_table owners{};                            // see `own`; 0: nobody's
  address_filter waited{};                         // for: `embedded`
  bool* has_silent_peers = nullptr;                // of a node: what it leads to was not read for others that wait for the same
  trace::list<std::uintptr_t> open{};              // blocks to read for `current`
  std::uint32_t current = no_node;
  bool failed = false;

  bool reserve() noexcept {
    if (!owners.reserve(memory)) return false;
    helps = {memory.array<core_helpers>(g.cores.size), g.cores.size};
    out = {memory.array<blame>(g.nodes.size), g.nodes.size};
    by_reference = {memory.array<reference_helpers>(g.nodes.size), g.nodes.size};
    has_silent_peers = memory.array<bool>(g.nodes.size);
    if (helps.data == nullptr || has_silent_peers == nullptr || out.data == nullptr || by_reference.data == nullptr ||
        !waited.reserve(memory))
      return false;
    for (const waited_on& e : embedded) waited.add(e.primitive);
    for (blame& b : out) b = blame{};
    return true;
  }

  bool waits_too(std::uintptr_t primitive, bool sends) const noexcept {
    const node& n = g.nodes[current];
    for (std::uint32_t i = 0; i < n.wait_count; i++) {
      const wait& w = g.waits[n.first_wait + i];
      if (w.primitive == primitive && w.sends == sends) return true;
    }
    return false;
  }

  // Do both wait for the same? Then the second could help nobody whom the first could not.
  bool are_peers(std::uint32_t a, std::uint32_t b) const noexcept {
    const node &x = g.nodes[a], &y = g.nodes[b];
    if (x.wait_count != 1 || y.wait_count != 1) return false;
    const wait &v = g.waits[x.first_wait], &w = g.waits[y.first_wait];
    return v.primitive == w.primitive && v.sends == w.sends;
  }

  // Of one owner: 2 * (node + 1). Shared: {last reader's node + 1 : 28, times it was read : 3, 1 : 1}.
  void own(std::uintptr_t block) noexcept {
    constexpr std::uint32_t most_reads = 7;
    std::uint32_t* o = owners.at(block);
    if (o == nullptr) failed = true;
    if (o == nullptr || *o == 2 * (current + 1)) return;
    std::uint64_t bytes = trace::block_table::end_of(block) - block;
    if (*o == 0) {
      *o = 2 * (current + 1);
      out[current].heap_bytes += bytes;
    } else {
      std::uint32_t reads = *o >> 1 & most_reads;
      if ((*o & 1) == 0) {
        out[*o / 2 - 1].heap_bytes -= bytes;
        reads = 1;
      } else if (std::uint32_t last = (*o >> 4) - 1; last == current) {
        return;
      } else if (reads == most_reads || are_peers(last, current)) {
        has_silent_peers[last] = true;
        return;
      }
      *o = (current + 1) << 4 | (reads + 1) << 1 | 1;
    }
    failed = !open.push(memory, block) || failed;
  }

  bool is_creator(std::uint32_t of_it, std::uint32_t number) const noexcept {
    return g.nodes[of_it].id == g.nodes[number].creator_id;
  }

  // `current` could do what this node waits for. Ranks: blame.h 1.
  void could_help(std::uint32_t number, std::uintptr_t primitive, bool address) noexcept {
    reference_helpers& h = by_reference[number];
    const auto rank = static_cast<std::uint8_t>((address ? 2 : 0) + (is_creator(current, number) ? 0 : 1));
    if (waits_too(primitive, false)) return;
    h.all.add(current);
    if (h.met.count != 0 && rank < h.rank) return;
    if (rank > h.rank) h.met = {};
    h.rank = rank;
    h.met.add(current);
  }

  void own_address(std::uintptr_t address) noexcept {
    if (waited.may_hold(address)) {
      for (std::size_t i = first_from(embedded, address); i < embedded.size && embedded[i].primitive == address; i++)
        could_help(embedded[i].node, address, true);
    }
    const trace::block_table& blocks = m.process().blocks;
    trace::block_table::place p = blocks.find(address);
    if (p.block == 0 || (p.in->at[p.word()].mark & p.mask()) != 0) return;  // free ones are marked from the beginning
    own(p.block);
  }

  void look_at(const trace::word& w) noexcept {
    std::uint32_t core = core_number(g, w.value);
    if (core == no_core) return own_address(w.value);
    const core_state& c = g.cores[core];
    detail::handle_kind kind;
    if (!c.exact || !is_handle(g, w, &kind)) return;
    core_helpers& h = helps[core];
    const bool receives = kind == detail::handle_kind::recv, sends = kind == detail::handle_kind::send;
    if (!sends && !h.of_senders.more && !waits_too(w.value, true)) {
      h.of_senders.add(current);
      if (receives) h.receivers.add(current);
    }
    if (!receives && !h.of_receivers.more && !waits_too(w.value, false)) h.of_receivers.add(current);
    if (c.ring.size() != 0) own_address(c.ring.lo);
  }

  void cover(trace::range bytes) noexcept {
    if (embedded.size == 0 || bytes.hi <= embedded[0].primitive || bytes.lo > embedded[embedded.size - 1].primitive) return;
    for (std::size_t i = first_from(embedded, bytes.lo); i < embedded.size && embedded[i].primitive < bytes.hi; i++)
      could_help(embedded[i].node, embedded[i].primitive, false);
  }

  void read(trace::range bytes) noexcept {
    cover(bytes);
    m.for_each_word(bytes, [this](const trace::word& w) { look_at(w); });
  }
  // As read, of memory that is known to be there.
  void read_block(trace::range bytes) noexcept {
    cover(bytes);
    for (std::uintptr_t at = bytes.lo; at + 8 <= bytes.hi; at += 8) {
      std::uintptr_t raw = *reinterpret_cast<const std::uintptr_t*>(at), value = raw & base::address_mask;
      if (!g.core_slab.holds(value)) {
        own_address(value);
        continue;
      }
      bool more = at + 16 <= bytes.hi;
      look_at(
          {value, raw, at, bytes.hi, more ? *reinterpret_cast<const std::uintptr_t*>(at + 8) : 0, more, trace::origin::memory});
    }
  }

  void read_all_of(std::uint32_t number) noexcept {
    const node& n = g.nodes[number];
    current = number;
    if (n.is_thread) {
      for (const trace::root_span& s : m.process().roots) {
        if (s.how == trace::root_span::strength::parked && s.tid == n.tid && s.lo == s.bytes) read({s.lo, s.hi});
      }
    } else if (n.stack.size() != 0) {
      read(n.stack);
    }
    for (std::uintptr_t block; open.pop(block);) read_block({block, trace::block_table::end_of(block)});
  }

  static few_nodes without(few_nodes all, const few_nodes& these) noexcept {
    few_nodes left;
    for (std::uint32_t n : all) {
      if (!these.holds(n)) left.add(n);
    }
    left.more = all.more;
    return left;
  }

  bool sends_on(std::uint32_t number, std::uint32_t core) const noexcept {
    const node& n = g.nodes[number];
    for (std::uint32_t i = 0; n.rule == live_rule::handle && i < n.wait_count; i++) {
      const wait& w = g.waits[n.first_wait + i];
      if (w.sends && core_number(g, w.primitive) == core) return true;
    }
    return false;
  }
  // Blame.h 2: it waits for senders to be done, so it is there to close what they send on.
  bool awaits_senders(std::uint32_t number, std::uint32_t core) const noexcept {
    if (helps[core].receivers.holds(number)) return false;
    for (std::uint32_t n : by_reference[number].met) {
      if (sends_on(n, core)) return true;
    }
    return false;
  }

  // Who could wake it, but for the owners of locks.
  few_nodes helpers_of(std::uint32_t number) const noexcept {
    const node& n = g.nodes[number];
    if (n.rule != live_rule::handle) return by_reference[number].met;
    few_nodes all, creators;
    for (std::uint32_t i = 0; i < n.wait_count; i++) {
      const wait& w = g.waits[n.first_wait + i];
      const std::uint32_t core = core_number(g, w.primitive);
      if (core == no_core) continue;
      const few_nodes& met = w.sends ? helps[core].of_senders : helps[core].of_receivers;
      for (std::uint32_t h : met) {
        if (h == number || (w.sends && awaits_senders(h, core))) continue;
        all.add(h);
        if (is_creator(h, number)) creators.add(h);
      }
      all.more = all.more || (met.more && all.count != 0);
    }
    return creators.count < all.count ? without(all, creators) : all;
  }

  // Blame.h 6.
  few_nodes wakers_of(std::uint32_t number) const noexcept {
    const node& n = g.nodes[number];
    few_nodes all = by_reference[number].all;
    auto add = [&](const few_nodes& met) {
      for (std::uint32_t h : met) {
        if (h != number) all.add(h);
      }
      all.more = all.more || met.more;
    };
    for (std::uint32_t i = 0; n.rule == live_rule::handle && i < n.wait_count; i++) {
      const wait& w = g.waits[n.first_wait + i];
      const std::uint32_t core = core_number(g, w.primitive);
      if (core == no_core) continue;
      add(helps[core].of_receivers);  // may send, and close
      if (w.sends) add(helps[core].of_senders);
    }
    for (std::uint32_t e = n.owners; e != no_edge; e = g.edges[e].next_owner) {
      const std::uint32_t owner = g.edges[e].owner;
      if (owner != no_node && owner != number && leaked(g.nodes[owner])) all.add(owner);
    }
    for (std::uint32_t h : all) all.more = all.more || has_silent_peers[h];
    return all;
  }

  // A leaked owner of the lock; `helper` if there is none.
  std::uint32_t owner_of(std::uint32_t number, std::uint32_t helper) const noexcept {
    const node& n = g.nodes[number];
    for (std::uint32_t e = n.owners; e != no_edge; e = g.edges[e].next_owner) {
      std::uint32_t owner = g.edges[e].owner;
      if (owner == number) return no_node;
      if (owner == no_node || !leaked(g.nodes[owner])) continue;
      if (n.cycle != 0 && g.nodes[owner].cycle == n.cycle) return owner;
      helper = owner;
    }
    return helper;
  }

  // Of several, those whom none of the others waits for: these are then told on the way. All, if they wait in a ring.
  few_nodes first_in_line(std::uint32_t number, const few_nodes& all) const noexcept {
    constexpr int most = 64;
    few_nodes behind;
    for (std::uint32_t h : all) {
      std::uint32_t at = out[h].waits_for;
      for (int step = 0; step < most && at != no_node && at != number && at != h; step++) {
        if (all.holds(at)) behind.add(at);
        at = out[at].waits_for;
      }
    }
    return behind.count < all.count ? without(all, behind) : all;
  }

  bool find_helpers() noexcept {
    trace::list<few_nodes> several;
    trace::list<std::uint32_t> whose;
    for (std::uint32_t i = 0; i < g.nodes.size; i++) {
      if (!leaked(g.nodes[i])) continue;
      out[i].wakers = wakers_of(i);
      const few_nodes all = helpers_of(i);
      out[i].waits_for = owner_of(i, all.count != 0 ? all.at[0] : no_node);
      if (all.count > 1 && !(several.push(memory, all) && whose.push(memory, i))) return false;
    }
    for (few_nodes& all : several) all = first_in_line(whose[static_cast<std::size_t>(&all - several.begin())], all);
    for (std::size_t i = 0; i < several.size(); i++) {
      blame& b = out[whose[i]];
      b.waits_for = several[i].at[0];
      b.several = several[i].count > 1 ? several[i] : few_nodes{};
    }
    return true;
  }

  // Every chain once: a node whose root is known ends it, and so does one of the chain itself, which is then a ring.
  bool find_roots() noexcept {
    auto* chain_of = memory.array<std::uint32_t>(g.nodes.size);  // 0: not seen
    if (chain_of == nullptr) return false;
    trace::list<std::uint32_t> chain;
    for (std::uint32_t i = 0; i < g.nodes.size; i++) {
      if (!leaked(g.nodes[i]) || chain_of[i] != 0) continue;
      std::uint32_t at = i;
      while (at != no_node && chain_of[at] == 0) {
        chain_of[at] = i + 1;
        if (!chain.push(memory, at)) return false;
        at = out[at].waits_for;
      }
      std::uint32_t root = at;
      if (at != no_node && chain_of[at] == i + 1) {
        for (std::uint32_t member = at;;) {
          out[member].ring = true;
          if (g.nodes[member].id < g.nodes[root].id) root = member;
          member = out[member].waits_for;
          if (member == at) break;
        }
      } else if (at != no_node && out[at].root != no_node) {
        root = out[at].root;
      }
      for (std::uint32_t member; chain.pop(member);) {
        if (root == no_node) root = member;  // the last of the chain
        if (member != root) out[member].root = root;
      }
    }
    return true;
  }
};

}  // namespace

void find_blame(wait_graph& g, trace::marker& m, trace::slice<const waited_on> embedded, trace::slice<blame>& out) noexcept {
  trace::bump memory;
  if (!memory.reserve(std::size_t{1} << 36)) return;
  trace::slice<blame> found;
  blamer b{g, m, memory, embedded, found};
  if (!b.reserve()) return;
  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    prefetch_stack_ahead(g.nodes, i, g.nodes.size);
    if (leaked(g.nodes[i])) b.read_all_of(i);
  }
  if (b.find_helpers() && b.find_roots() && !b.failed) out = found;
}

}  // namespace stray::leak
