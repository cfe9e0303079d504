// Who owns the locks that somebody waits for. Pure; runs in the snapshot on frozen records.
//
// 1. A lock's owner is read from the lock word; an owner that is not found has ended. A free lock makes its waiters roots.
// 2. The writer that drains a shared_mutex waits for all that hold the lock for reading. They are known by their records (runtime/read_holds.h); unless these add up exactly to the readers that the lock counts, it is a root.
// 3. Each record that adds up is a real hold, so it is enough that one of its owners is never live (wait_graph.h, lock_edge).
#include <cerrno>
#include <sys/uio.h>

#include "base/syscalls.h"
#include "leak/goroutines/frozen.h"
#include "sync/owner.h"

namespace stray::leak {

namespace {

using runtime::task;
namespace lock_word = sync::lock_word;
namespace shared_word = sync::shared_word;

constexpr std::uint64_t hash(std::uint64_t key) noexcept { return key * 0x9e37'79b9'7f4a'7c15ull >> 20; }

// 64-bit key, never 0 -> index: open addressing.
class key_table {
 public:
  bool reserve(trace::bump& memory, std::size_t n) noexcept {
    std::size_t size = 64;
    while (size < n * 2) size *= 2;
    slots_ = memory.array<slot>(size);
    mask_ = size - 1;
    return slots_ != nullptr;
  }
  void add(std::uint64_t key, std::uint32_t index) noexcept {
    std::size_t at = hash(key) & mask_;
    while (slots_[at].key != 0) at = (at + 1) & mask_;
    slots_[at] = {key, index};
  }
  std::uint32_t find(std::uint64_t key) const noexcept {
    for (std::size_t at = hash(key) & mask_; slots_[at].key != 0; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].index;
    }
    return no_node;
  }

 private:
  struct slot {
    std::uint64_t key;
    std::uint32_t index;
  };
  slot* slots_ = nullptr;
  std::size_t mask_ = 0;
};

// The words of a lock, through the kernel: the lock may lie in memory that is gone. Keeps the last one, since many wait for the same.
class lock_reader {
 public:
  bool read(std::uintptr_t lock, std::size_t n) noexcept {
    if (lock == lock_ && n <= have_) return readable_;
    lock_ = lock;
    have_ = n;
    iovec to{words, n * sizeof words[0]}, from{reinterpret_cast<void*>(lock), n * sizeof words[0]};
    long got = base::sys::call(SYS_process_vm_readv, base::sys::getpid(), base::sys::arg(&to), 1, base::sys::arg(&from), 1, 0);
    readable_ = got == static_cast<long>(n * sizeof words[0]);
    if (got == -EPERM || got == -ENOSYS) {
      for (std::size_t i = 0; i < n; i++) words[i] = reinterpret_cast<const volatile std::uint64_t*>(lock)[i];
      readable_ = true;
    }
    return readable_;
  }
  std::uint64_t words[2];

 private:
  std::uintptr_t lock_ = 0;
  std::size_t have_ = 0;
  bool readable_ = false;
};

// An announced writer.
struct draining {
  std::uintptr_t lock;
  std::uint32_t node;
  std::uint64_t readers, known;
};

struct builder {
  const frozen_goroutines& view;
  bool holds_rule;
  trace::bump& memory;
  wait_graph& g;
  key_table ids, locks;
  trace::list<draining> writers;

  void make_root(node& n) noexcept {
    n.what = node::root;
    g.candidates--;
  }

  bool add_waiters() noexcept {
    lock_reader lock;
    for (std::uint32_t i = view.first; i < view.end(); i++) {
      node& n = g.nodes[i];
      bool shared = n.rule == live_rule::readers;
      if (n.what != node::candidate || (n.rule != live_rule::owner && !shared)) continue;
      std::uintptr_t at = n.wait_count == 0 ? 0 : g.waits[n.first_wait].primitive - (shared ? shared_word::offset : 0);
      std::uint64_t owner = at != 0 && lock.read(at, shared ? 2 : 1) ? lock_word::owner(lock.words[0]) : 0;
      if (owner == 0) {  // handed on or free at this instant, or unreadable
        make_root(n);
      } else if (shared && owner == n.id && (lock.words[1] & shared_word::draining) != 0) {
        n.for_reading = true;
        if (!writers.push(memory, {at, i, shared_word::readers(lock.words[1]), 0})) return false;
      } else if (!g.add_owner(memory, i, ids.find(owner), owner)) {
        return false;
      }
    }
    return true;
  }

  bool add_hold(std::uint64_t slot, std::uint32_t owner, std::uint64_t owner_id) noexcept {
    std::uintptr_t lock = runtime::hold::lock_of(slot);
    std::uint32_t w = lock == 0 ? no_node : locks.find(lock);
    if (w == no_node) return true;
    writers[w].known += runtime::hold::count_of(slot);
    return g.add_owner(memory, writers[w].node, owner, owner_id);
  }

  bool add_readers() noexcept {
    if (writers.size() == 0) return true;
    if (!locks.reserve(memory, writers.size())) return false;
    for (std::uint32_t w = 0; w < writers.size(); w++) locks.add(writers[w].lock, w);
    for (std::uint32_t i = view.first; i < view.end(); i++) {
      if (g.nodes[i].what == node::none) continue;
      const runtime::read_holds& holds = view.tasks->at(g.nodes[i].record)->holds;
      if (!add_hold(holds.first.load(std::memory_order_relaxed), i, g.nodes[i].id)) return false;  // order: frozen
      const runtime::hold_block* b = holds.more.load(std::memory_order_relaxed);                   // order: frozen
      for (; b != nullptr; b = b->next) {
        for (const runtime::hold_slot& s : b->slots) {
          if (!add_hold(s.load(std::memory_order_relaxed), i, g.nodes[i].id)) return false;  // order: frozen
        }
      }
    }
    const runtime::ended_hold_list& ended = *view.ended_holds;
    for (std::size_t i = 1; i < ended.entries.used(); i++) {
      const runtime::ended_hold& e = *ended.entries.at(i);
      std::uintptr_t lock = e.lock.load(std::memory_order_relaxed);   // order: frozen
      std::uint64_t count = e.count.load(std::memory_order_relaxed);  // order: frozen
      std::uint32_t w = lock == 0 || count == 0 ? no_node : locks.find(lock);
      if (w == no_node) continue;
      writers[w].known += count;
      if (!g.add_owner(memory, writers[w].node, no_node, e.owner_id.load(std::memory_order_relaxed)))
        return false;  // order: frozen
    }
    bool lost = ended.lost.load(std::memory_order_relaxed);  // order: frozen
    for (const draining& d : writers) {
      bool exact = (d.known == d.readers && !lost) || !holds_rule;
      if (d.readers == 0 || !exact) make_root(g.nodes[d.node]);
    }
    return true;
  }
};

}  // namespace

bool add_lock_owners(const frozen_goroutines& view, bool holds_rule, trace::bump& memory, wait_graph& g) noexcept {
  bool any = false;
  for (const node& n : view.nodes) {
    any = any || (n.what == node::candidate && (n.rule == live_rule::owner || n.rule == live_rule::readers));
  }
  if (!any) return true;
  builder b{view, holds_rule, memory, g, {}, {}, {}};
  if (!b.ids.reserve(memory, view.nodes.size)) return false;
  for (std::uint32_t i = view.first; i < view.end(); i++) {
    if (g.nodes[i].what != node::none) b.ids.add(g.nodes[i].id, i);
  }
  return b.add_waiters() && b.add_readers();
}

}  // namespace stray::leak
