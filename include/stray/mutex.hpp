// stray::mutex: a mutual exclusion lock that blocks goroutines and OS threads alike. Lockable: use std::lock_guard, std::unique_lock.
#pragma once

#include <atomic>
#include <cstdint>

#include <stray/detail/keep_frame.hpp>

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
    lock_blocking();
    STRAY_KEEP_FRAME;
  }
  bool try_lock() noexcept;
  void unlock() noexcept;

 private:
  void lock_blocking();
  // {owner id:56, thread:1, waiters:1, handoff:1, spare:5}; 0: free
  std::atomic<std::uint64_t> word_{0};
};

}  // namespace stray
