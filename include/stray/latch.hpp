// stray::latch: a counter that goes down to 0 once, and those who wait for it. As std::latch, for goroutines and OS threads alike.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <stray/detail/exceptions.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/panic.hpp>

#pragma GCC visibility push(default)

namespace stray {

// 8 bytes, constexpr-constructible. What happens before a count_down is seen by who returns from wait. It may be destroyed when the
// waits have returned: the last count_down does not touch it any more. A count below zero throws stray::panic "sync: negative Latch counter" and changes nothing.
class latch {
 public:
  static constexpr std::ptrdiff_t(max)() noexcept { return std::numeric_limits<std::int32_t>::max(); }

  constexpr explicit latch(std::ptrdiff_t count) : word_(checked(count)) {}
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  // Does not block.
  void count_down(std::ptrdiff_t n = 1);
  bool try_wait() const noexcept { return word_.load(std::memory_order_acquire) >> 32 == 0; }  // order: pairs with count_down

  // Blocks until the counter is 0.
  [[gnu::always_inline]] inline void wait() const {
    wait_blocking();
    STRAY_KEEP_FRAME;
  }
  [[gnu::always_inline]] inline void arrive_and_wait(std::ptrdiff_t n = 1) {
    if (!arrive(n)) wait_blocking();
    STRAY_KEEP_FRAME;
  }

 private:
  static constexpr std::uint64_t checked(std::ptrdiff_t count) {
    if (count < 0) detail::throw_panic("sync: negative Latch counter");
    if (count > (max)()) detail::throw_panic("sync: Latch counter overflow");
    return static_cast<std::uint64_t>(count) << 32;
  }
  bool arrive(std::ptrdiff_t n);  // true: it was the last
  void wait_blocking() const;
  mutable std::atomic<std::uint64_t> word_;  // {counter:32, spare:31, waiting:1}
};

}  // namespace stray

#pragma GCC visibility pop
