// A lock for critical sections of a few dozen instructions that never block, allocate or run user code other than T's move.
//
// 1. It is a plain byte in the object it guards; unlocking is one store.
// 2. A waiter looks again after 32 pauses, a microsecond or two, so that who works keeps the line for some sections more: an item through a
//    buffered channel between two workers takes 30 ns instead of 104. After 8 looks it yields its time slice, then it sleeps 50 us a time:
//    with more threads than cores the holder may be preempted, and it must get the core.
// 3. The detector never takes one while threads are stopped (a stopped thread may hold it).
// 4. In the child of a fork its holder may not exist: who has napped for two seconds there ends the child with a message.
// Rejected: a three-state futex lock. Unlock is then an exchange: two atomic read-modify-writes a section instead of one.
#pragma once

#include <atomic>

#include "base/arch.h"

namespace stray::base {

extern std::atomic<bool> in_forked_child;  // of a process in which the runtime had started

class spin_lock {
 public:
  constexpr spin_lock() noexcept = default;
  spin_lock(const spin_lock&) = delete;
  spin_lock& operator=(const spin_lock&) = delete;

  void lock() noexcept {
    if (held_.exchange(1, std::memory_order_acquire) != 0) lock_slow();  // order: pairs with unlock's release
  }
  bool try_lock() noexcept { return held_.exchange(1, std::memory_order_acquire) == 0; }  // order: as lock
  void free_in_child() noexcept { held_.store(0); }                                       // of a fork, where its holder is not
  void unlock() noexcept { held_.store(0, std::memory_order_release); }                   // order: pairs with lock's acquire

 private:
  void lock_slow() noexcept;
  std::atomic<unsigned char> held_{0};
};

}  // namespace stray::base
