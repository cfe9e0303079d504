#include "leak/blame.h"

#include "leak/handle_words.h"
#include "trace/image.h"
#include "trace/mark.h"

namespace stray::leak {

namespace {

bool leaked(const node& n) noexcept { return n.what == node::candidate && !n.live; }

struct helpers {  // leaked ones that could wake the receivers, or the senders, of a core: the first two met
  std::uint32_t met[2];
  void add(std::uint32_t number) noexcept {
    if (met[0] == no_node) {
      met[0] = number;
    } else if (met[1] == no_node && met[0] != number) {
      met[1] = number;
    }
  }
};
struct core_helpers {
  helpers of_receivers, of_senders;
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
  owner_table owners{};                // 2 * (node + 1) + shared; 0: nobody's
  address_filter waited{};             // for: `embedded`
  trace::slice<bool> by_address{};     // of a node: waits_for has the very address of what it waits on
  trace::list<std::uintptr_t> open{};  // blocks to read for `current`
  std::uint32_t current = no_node;
  bool failed = false;

  bool reserve() noexcept {
    if (!owners.reserve(memory)) return false;
    helps = {memory.array<core_helpers>(g.cores.size), g.cores.size};
    out = {memory.array<blame>(g.nodes.size), g.nodes.size};
    by_address = {memory.array<bool>(g.nodes.size), g.nodes.size};
    if (helps.data == nullptr || out.data == nullptr || by_address.data == nullptr || !waited.reserve(memory)) return false;
    for (const waited_on& e : embedded) waited.add(e.primitive);
    for (core_helpers& h : helps) h = {{no_node, no_node}, {no_node, no_node}};
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

  void own(std::uintptr_t block) noexcept {
    std::uint32_t* o = owners.at(block);
    const std::uint32_t mine = 2 * (current + 1);
    if (o == nullptr) failed = true;
    if (o == nullptr || *o == mine || (*o & 1) != 0) return;
    std::uint64_t bytes = trace::block_table::end_of(block) - block;
    if (*o == 0) {
      *o = mine;
      out[current].heap_bytes += bytes;
    } else {
      out[*o / 2 - 1].heap_bytes -= bytes;
      *o |= 1;
    }
    failed = !open.push(memory, block) || failed;
  }

  bool is_creator(std::uint32_t of_it, std::uint32_t number) const noexcept {
    return g.nodes[of_it].id == g.nodes[number].creator_id;
  }

  // `current` could do what this node waits for.
  void could_help(std::uint32_t number, std::uintptr_t primitive, bool address) noexcept {
    blame& b = out[number];
    const bool better = b.waits_for == no_node || (address && !by_address[number]) ||
                        (address == by_address[number] && is_creator(b.waits_for, number));
    if (!better || waits_too(primitive, false)) return;
    b.waits_for = current;
    by_address[number] = address;
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
    if (h.of_senders.met[1] == no_node && !waits_too(w.value, true)) h.of_senders.add(current);
    if (h.of_receivers.met[1] == no_node && kind != detail::handle_kind::recv && !waits_too(w.value, false))
      h.of_receivers.add(current);
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

  std::uint32_t helper_of(std::uint32_t number) const noexcept {
    const node& n = g.nodes[number];
    if (n.rule == runtime::live_rule::chan) {
      for (std::uint32_t i = 0; i < n.wait_count; i++) {
        const wait& w = g.waits[n.first_wait + i];
        std::uint32_t core = core_number(g, w.primitive);
        if (core == no_core) continue;
        const helpers& h = w.sends ? helps[core].of_senders : helps[core].of_receivers;
        const std::uint32_t first = h.met[0] != number ? h.met[0] : h.met[1];
        if (first == no_node) continue;
        const std::uint32_t second = first == h.met[0] && h.met[1] != number ? h.met[1] : no_node;
        return second != no_node && is_creator(first, number) ? second : first;
      }
      return no_node;
    }
    std::uint32_t found = out[number].waits_for;  // by reference
    for (std::uint32_t e = n.owners; e != no_edge; e = g.edges[e].next_owner) {
      std::uint32_t owner = g.edges[e].owner;
      if (owner == number) return no_node;
      if (owner == no_node || !leaked(g.nodes[owner])) continue;
      if (n.cycle != 0 && g.nodes[owner].cycle == n.cycle) return owner;
      found = owner;
    }
    return found;
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
  for (std::uint32_t i = 0; i < g.nodes.size; i++) {
    if (leaked(g.nodes[i])) found[i].waits_for = b.helper_of(i);
  }
  if (b.find_roots() && !b.failed) out = found;
}

}  // namespace stray::leak
