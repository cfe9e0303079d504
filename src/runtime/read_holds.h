// Which shared locks a task holds for reading, so that the detector knows the owners that a writer waits for.
//
// 1. A slot is {address of the lock:48, holds:16}; 0: empty. Written by the task itself, or by a waker between claim and runnable.
// 2. A hold is recorded before the lock counts it and erased after the lock has forgotten it. So at every instant the holds recorded for a
//    lock are at least those that it counts; if the numbers are equal, every record is a real hold. If there are more, one is on its way,
//    or a lock was destroyed while it was held and its address is used again.
// 3. One slot lies in the task, more in a chain of blocks in hidden memory that stays with the task until it ends.
// 4. What a task holds when it ends moves to the list of ended holds: added there first, then erased here (rule 2).
// Rejected: four slots in the task (its record grows from 320 to 384 bytes, for who holds two locks for reading at once); a set of readers
// in each lock (a lock of its own on the fast path, and the memory may be gone).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/address_space.h"

namespace stray::runtime {

using hold_slot = std::atomic<std::uint64_t>;

namespace hold {
inline constexpr std::uint64_t most = 0xffff;
constexpr std::uintptr_t lock_of(std::uint64_t slot) noexcept { return slot >> 16; }
constexpr std::uint64_t count_of(std::uint64_t slot) noexcept { return slot & most; }
constexpr bool one_more(std::uint64_t slot, std::uintptr_t lock) noexcept {
  return lock_of(slot) == lock && count_of(slot) < most;
}
// order (both): the lock's own read-modify-write, which stands behind record and before forget, keeps the order
inline void record(hold_slot& slot, std::uintptr_t lock) noexcept {
  std::uint64_t s = slot.load(std::memory_order_relaxed);                // order: one writer at a time
  slot.store((s == 0 ? lock << 16 : s) + 1, std::memory_order_relaxed);  // order: see above
}
inline void forget(hold_slot& slot) noexcept {
  std::uint64_t s = slot.load(std::memory_order_relaxed);              // order: one writer at a time
  slot.store(count_of(s) > 1 ? s - 1 : 0, std::memory_order_relaxed);  // order: see above
}
}  // namespace hold

struct hold_block {
  hold_block* next = nullptr;  // also the free list's link
  hold_slot slots[7];
};

struct read_holds {
  hold_slot first{0};
  std::atomic<hold_block*> more{nullptr};

  // Where one more hold of this lock can be recorded. May throw std::bad_alloc.
  hold_slot& room_for(std::uintptr_t lock) {
    std::uint64_t now = first.load(std::memory_order_relaxed);  // order: own record
    return now == 0 || hold::one_more(now, lock) ? first : room_in_chain(lock);
  }
  // A slot that holds it; nullptr: this task does not.
  hold_slot* find(std::uintptr_t lock) noexcept {
    if (hold::lock_of(first.load(std::memory_order_relaxed)) == lock) return &first;  // order: own record
    return find_in_chain(lock);
  }
  bool any() const noexcept {
    return first.load(std::memory_order_relaxed) != 0 || more.load(std::memory_order_relaxed) != nullptr;  // order: own record
  }

 private:
  hold_slot& room_in_chain(std::uintptr_t lock);
  hold_slot* find_in_chain(std::uintptr_t lock) noexcept;
};

// Holds of tasks that have ended, added up by lock. Entries stay for ever: a program adds one for each lock that it never unlocks.
struct ended_hold {
  ended_hold* next = nullptr;  // of the same hash
  std::atomic<std::uintptr_t> lock{0};
  std::atomic<std::uint64_t> count{0}, owner_id{0};  // owner_id: of the last that ended
};
struct ended_hold_list {
  base::slab<ended_hold> entries{std::size_t{1} << 20};
  std::atomic<bool> lost{false};  // there was no room for one: no sum adds up any more
};
ended_hold_list& ended_holds() noexcept;

// The task with this id ends: empties its holds.
void end_holds(read_holds& holds, std::uint64_t id) noexcept;

void forget_holds_locks() noexcept;  // in the child of a fork

}  // namespace stray::runtime
