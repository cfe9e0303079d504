// stray::mutex: a mutual exclusion lock that blocks goroutines and OS threads alike. Lockable: use std::lock_guard, std::unique_lock.
#pragma once

#include <atomic>
#include <cstdint>

#include <stray/detail/keep_frame.hpp>
#include <stray/detail/own_record.hpp>

#pragma GCC visibility push(default)

namespace stray {

// 8 bytes, constexpr-constructible. Unlocked by the goroutine (or thread) that locked it; anything else ends the process with
// "fatal error: sync: unlock of unlocked mutex" (or "... by a goroutine that does not hold the mutex"): unlock runs in noexcept
// destructors and cannot throw. Locking it twice blocks for ever, and the detector names the owner.
// A woken waiter competes with newcomers; one that has waited for 1 ms is handed the lock by the next unlock, so nobody starves
// (the algorithm of Go's sync.Mutex).
class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  [[gnu::always_inline]] inline void lock() {
    const detail::own_record* self = detail::own_record_or_null();
    std::uint64_t free = 0;
    // order: pairs with unlock
    if (self != nullptr && word_.compare_exchange_strong(free, self->owner_word, std::memory_order_acquire)) return;
    lock_blocking();
    STRAY_KEEP_FRAME;
  }
  bool try_lock() noexcept;
  void unlock() noexcept {
    const detail::own_record* self = detail::own_record_or_null();
    std::uint64_t held = self != nullptr ? self->owner_word : 0;
    if (held != 0 && word_.compare_exchange_strong(held, 0, std::memory_order_release)) return;  // order: pairs with lock
    unlock_slow();
  }

 private:
  void lock_blocking();
  void unlock_slow() noexcept;
  // {owner id:56, thread:1, waiters:1, handoff:1, spare:5}; 0: free
  std::atomic<std::uint64_t> word_{0};
};

}  // namespace stray

#pragma GCC visibility pop
