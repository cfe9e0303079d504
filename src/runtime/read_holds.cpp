#include "runtime/read_holds.h"

#include <new>

#include "base/spin_lock.h"

namespace stray::runtime {

namespace {

constinit base::slab<hold_block> blocks(std::size_t{4} << 20);
constinit ended_hold_list ended;
base::spin_lock ending;          // guards what follows, and the writing of entries
ended_hold* ended_by_hash[256];  // by the lock's address

ended_hold* entry_of(std::uintptr_t lock) noexcept {
  ended_hold*& head = ended_by_hash[(lock >> 3) * 0x9e37'79b9'7f4a'7c15ull >> 56];
  ended_hold* e = head;
  while (e != nullptr && e->lock.load(std::memory_order_relaxed) != lock) e = e->next;  // order: under the lock
  if (e != nullptr) return e;
  e = ended.entries.alloc();
  if (e == nullptr) return nullptr;
  e->lock.store(lock, std::memory_order_relaxed);  // order: under the lock; a snapshot sees a count of 0
  e->next = head;
  head = e;
  return e;
}

void end_hold(hold_slot& slot, std::uint64_t id) noexcept {
  std::uint64_t s = slot.load(std::memory_order_relaxed);  // order: own record
  if (s == 0) return;
  ending.lock();
  if (ended_hold* e = entry_of(hold::lock_of(s))) {
    e->owner_id.store(id, std::memory_order_relaxed);  // order: under the lock
    e->count.fetch_add(hold::count_of(s));
  } else {
    ended.lost.store(true);
  }
  ending.unlock();
  slot.store(0, std::memory_order_relaxed);  // order: behind the read-modify-write above (rule 4)
}

}  // namespace

ended_hold_list& ended_holds() noexcept { return ended; }

void forget_holds_locks() noexcept {
  blocks.free_in_child();
  ended.entries.free_in_child();
  ending.free_in_child();
}

hold_slot& read_holds::room_in_chain(std::uintptr_t lock) {
  std::atomic<hold_block*>* link = &more;
  hold_block* last = nullptr;
  for (hold_block* b = link->load(std::memory_order_relaxed); b != nullptr; b = b->next) {  // order: own record
    for (hold_slot& s : b->slots) {
      std::uint64_t now = s.load(std::memory_order_relaxed);  // order: own record
      if (now == 0 || hold::one_more(now, lock)) return s;
    }
    last = b;
  }
  hold_block* b = blocks.alloc();
  if (b == nullptr) throw std::bad_alloc();
  b->next = nullptr;
  for (hold_slot& s : b->slots) s.store(0, std::memory_order_relaxed);  // order: before it is linked
  if (last != nullptr) {
    last->next = b;
  } else {
    more.store(b, std::memory_order_release);  // order: an empty block, then its link
  }
  return b->slots[0];
}

hold_slot* read_holds::find_in_chain(std::uintptr_t lock) noexcept {
  for (hold_block* b = more.load(std::memory_order_relaxed); b != nullptr; b = b->next) {  // order: own record
    for (hold_slot& s : b->slots) {
      if (hold::lock_of(s.load(std::memory_order_relaxed)) == lock) return &s;  // order: own record
    }
  }
  return nullptr;
}

void end_holds(read_holds& holds, std::uint64_t id) noexcept {
  end_hold(holds.first, id);
  hold_block* b = holds.more.load(std::memory_order_relaxed);  // order: own record
  for (hold_block* x = b; x != nullptr; x = x->next) {
    for (hold_slot& s : x->slots) end_hold(s, id);
  }
  holds.more.store(nullptr);
  while (b != nullptr) {
    hold_block* next = b->next;
    blocks.release(b);
    b = next;
  }
}

}  // namespace stray::runtime
