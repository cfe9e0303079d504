// stray::shared_mutex: many readers or one writer, for goroutines and OS threads alike. SharedLockable: use std::lock_guard,
// std::unique_lock, std::shared_lock.
#pragma once

#include <atomic>
#include <cstdint>

#include <stray/detail/keep_frame.hpp>

namespace stray {

// 16 bytes, constexpr-constructible. Who locked it unlocks it, goroutine or thread; anything else ends the process with
// "fatal error: sync: Unlock of unlocked RWMutex", "... sync: RUnlock of unlocked RWMutex" or "... sync: unlock by a goroutine that does not
// hold the mutex". So a std::shared_lock must not be moved to another goroutine.
// Nobody starves: a writer that finds readers announces itself, and from then on newcomers wait; a writer that unlocks lets in all readers
// that wait at that moment, and the next writer has announced itself behind them (the order of Go's sync.RWMutex; writers among themselves
// come in their order).
// Not recursive: lock while holding it either way blocks for ever, and so does lock_shared while holding it for reading once a writer has
// announced itself. The detector names the owners.
class shared_mutex {
 public:
  constexpr shared_mutex() noexcept = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  // Blocks until nobody else holds it.
  [[gnu::always_inline]] inline void lock() {
    lock_blocking();
    STRAY_KEEP_FRAME;
  }
  bool try_lock();
  void unlock() noexcept;

  // Blocks while a writer holds it or waits for readers to leave. What a task holds for reading is recorded: from the second lock at the
  // same time on this may throw std::bad_alloc, and then nothing is locked.
  [[gnu::always_inline]] inline void lock_shared() {
    lock_shared_blocking();
    STRAY_KEEP_FRAME;
  }
  bool try_lock_shared();
  void unlock_shared() noexcept;

 private:
  void lock_blocking();
  void lock_shared_blocking();
  std::atomic<std::uint64_t> writer_{0};  // {owner id:56, thread:1, 0:7}: holds it, or has announced itself
  std::atomic<std::uint64_t> state_{0};   // {readers:56, spare:5, draining:1, waiters:1, writer:1}
};

}  // namespace stray
