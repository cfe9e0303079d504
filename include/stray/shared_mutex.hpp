// stray::shared_mutex: many readers or one writer, for goroutines and OS threads alike. SharedLockable: use std::lock_guard,
// std::unique_lock, std::shared_lock.
#pragma once

#include <atomic>
#include <cstdint>

#include <stray/detail/keep_frame.hpp>
#include <stray/detail/own_record.hpp>

#pragma GCC visibility push(default)

namespace stray {
namespace detail::shared_word {

// The state of a shared_mutex: {readers:56, spare:4, handoff:1, draining:1, waiters:1, writer:1}. src/sync/shared_mutex.cpp says when it changes.
inline constexpr std::uint64_t writer = 1;    // one holds it or has announced itself
inline constexpr std::uint64_t waiters = 2;   // somebody may be queued
inline constexpr std::uint64_t draining = 4;  // the writer waits for readers to leave
inline constexpr std::uint64_t handoff = 8;   // the first writer in the queue gets the lock at the next unlock
inline constexpr std::uint64_t reader = 0x100;

}  // namespace detail::shared_word

// 16 bytes, constexpr-constructible. Who locked it unlocks it, goroutine or thread; anything else ends the process with
// "fatal error: sync: Unlock of unlocked RWMutex", "... sync: RUnlock of unlocked RWMutex" or "... sync: unlock by a goroutine that does not
// hold the mutex". So a std::shared_lock must not be moved to another goroutine.
// Nobody starves: a writer that finds readers announces itself, and from then on newcomers wait; a writer that unlocks lets in all readers
// that wait at that moment, and wakes a writer, which competes with newcomers. After 1 ms of waiting it asks to be the next in any case (as
// Go's sync.RWMutex, whose writers queue at a sync.Mutex).
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
    detail::own_record* self = detail::own_record_or_null();
    if (self != nullptr && self->hold.load(std::memory_order_relaxed) == 0) {  // order: own record
      self->hold.store(own_hold(), std::memory_order_relaxed);                 // order: kept before the count by its release
      // order: acquire pairs with the writer's unlock
      if ((state_.fetch_add(detail::shared_word::reader, std::memory_order_acq_rel) & detail::shared_word::writer) == 0) return;
      lock_shared_met_writer();
    } else {
      lock_shared_blocking();
    }
    STRAY_KEEP_FRAME;
  }
  bool try_lock_shared();
  void unlock_shared() noexcept {
    detail::own_record* self = detail::own_record_or_null();
    if (self == nullptr || self->hold.load(std::memory_order_relaxed) != own_hold())
      return unlock_shared_slow();  // order: own record
    std::uint64_t w =
        state_.fetch_sub(detail::shared_word::reader, std::memory_order_acq_rel);  // order: readers before us, then the writer
    self->hold.store(0, std::memory_order_relaxed);                                // order: kept behind by the above
    if (w < 2 * detail::shared_word::reader && (w & detail::shared_word::draining) != 0) hand_to_writer();
  }

 private:
  std::uint64_t own_hold() const noexcept { return reinterpret_cast<std::uintptr_t>(this) << 16 | 1; }
  void lock_blocking();
  void lock_shared_blocking();
  void lock_shared_met_writer();  // the hold is recorded and counted
  void unlock_shared_slow() noexcept;
  void hand_to_writer() noexcept;
  std::atomic<std::uint64_t> writer_{0};  // {owner id:56, thread:1, 0:7}: holds it, or has announced itself
  std::atomic<std::uint64_t> state_{0};   // detail::shared_word
};

}  // namespace stray

#pragma GCC visibility pop
