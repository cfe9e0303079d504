// stray::semaphore: a number of permits. As std::counting_semaphore, for goroutines and OS threads alike, and fair.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <stray/detail/duration.hpp>
#include <stray/detail/exceptions.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/panic.hpp>

#pragma GCC visibility push(default)

namespace stray {

// 8 bytes, constexpr-constructible. First come, first served: release gives a permit to the first waiter itself, so nobody overtakes one.
// Anybody may release, whether it has acquired or not: it is the lock to hand to another goroutine. What happens before a release is seen
// by who acquires that permit. It may be destroyed by who acquired last: that release does not touch it any more.
// A negative count or release, or more than max() permits, throws stray::panic and changes nothing.
class semaphore {
 public:
  static constexpr std::ptrdiff_t(max)() noexcept { return std::numeric_limits<std::int32_t>::max(); }

  constexpr explicit semaphore(std::ptrdiff_t count) : word_(checked(count)) {}
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  // Blocks until there is a permit.
  [[gnu::always_inline]] inline void acquire() {
    acquire_blocking(-1);
    STRAY_KEEP_FRAME;
  }
  bool try_acquire() noexcept;
  // Blocks for that long at most; false: no permit.
  template <class Rep, class Period>
  [[gnu::always_inline]] inline bool try_acquire_for(const std::chrono::duration<Rep, Period>& d) {
    bool acquired = acquire_blocking(detail::wait_ns(d));
    STRAY_KEEP_FRAME;
    return acquired;
  }
  // Does not block.
  void release(std::ptrdiff_t n = 1);

 private:
  static constexpr std::uint64_t checked(std::ptrdiff_t count) {
    if (count < 0) detail::throw_panic("sync: negative Semaphore count");
    if (count > (max)()) detail::throw_panic("sync: Semaphore count overflow");
    return static_cast<std::uint64_t>(count) << 32;
  }
  bool acquire_blocking(std::int64_t timeout_ns);  // negative: none
  std::atomic<std::uint64_t> word_;                // {permits:32, spare:31, waiting:1}
};

}  // namespace stray

#pragma GCC visibility pop
