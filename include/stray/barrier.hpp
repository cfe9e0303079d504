// stray::barrier: a group meets, again and again. As std::barrier, for goroutines and OS threads alike.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <stray/detail/exceptions.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/panic.hpp>

#pragma GCC visibility push(default)

namespace stray {

namespace detail {

struct no_completion {
  constexpr void operator()() const noexcept {}
};

class barrier_core {
 public:
  static constexpr std::ptrdiff_t most = (std::ptrdiff_t{1} << 28) - 1;
  struct arrival {
    std::uint8_t phase;
    bool last;
  };

  constexpr explicit barrier_core(std::ptrdiff_t expected) : word_(checked(expected)) {}
  arrival arrive(std::ptrdiff_t n, std::ptrdiff_t drop);
  void begin_next_phase() noexcept;  // by the last arrival
  void wait_blocking(std::uint8_t phase) const;

 private:
  static constexpr std::uint64_t checked(std::ptrdiff_t expected) {
    if (expected < 0) detail::throw_panic("sync: negative Barrier count");
    if (expected > most) detail::throw_panic("sync: Barrier count overflow");
    return static_cast<std::uint64_t>(expected) << 28 | static_cast<std::uint64_t>(expected);
  }
  std::atomic<std::uint64_t> word_;  // {phase:8, pending:28, expected:28}
};

}  // namespace detail

// 8 bytes and the completion function, constexpr-constructible. A phase ends when as many have arrived as are expected: the last arrival
// runs the completion function (which must not throw, may block, and holds no lock), then all that wait are released and the next phase
// begins. What happens before an arrival is seen by the completion function, and that by who returns from wait. It may
// be destroyed when the waits have returned: the last arrival does not touch it any more.
// More arrivals than the phase has left, or an arrival of less than one, throws stray::panic and changes nothing.
template <class CompletionFunction = detail::no_completion>
class barrier {
  static_assert(std::is_nothrow_invocable_v<CompletionFunction&>, "the completion function must be noexcept");

 public:
  // Of one phase; to be given to wait in that phase or in the next one.
  class [[nodiscard]] arrival_token {
   public:
    arrival_token(arrival_token&&) noexcept = default;
    arrival_token& operator=(arrival_token&&) noexcept = default;

   private:
    friend barrier;
    explicit arrival_token(detail::barrier_core::arrival of) noexcept : of_(of) {}
    detail::barrier_core::arrival of_;
  };

  static constexpr std::ptrdiff_t(max)() noexcept { return detail::barrier_core::most; }

  constexpr explicit barrier(std::ptrdiff_t expected, CompletionFunction completion = CompletionFunction())
      : core_(expected), completion_(std::move(completion)) {}
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  // Does not block, but for what the completion function does.
  [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) { return arrival_token(arrived(n, 0)); }
  // Blocks until the token's phase has ended.
  [[gnu::always_inline]] inline void wait(arrival_token&& token) const {
    if (!token.of_.last) core_.wait_blocking(token.of_.phase);
    STRAY_KEEP_FRAME;
  }
  [[gnu::always_inline]] inline void arrive_and_wait() {
    detail::barrier_core::arrival a = arrived(1, 0);
    if (!a.last) core_.wait_blocking(a.phase);
    STRAY_KEEP_FRAME;
  }
  // Arrives, and expects one less from the next phase on.
  void arrive_and_drop() { arrived(1, 1); }

 private:
  detail::barrier_core::arrival arrived(std::ptrdiff_t n, std::ptrdiff_t drop) {
    detail::barrier_core::arrival a = core_.arrive(n, drop);
    if (a.last) {
      completion_();
      core_.begin_next_phase();  // the last touch
    }
    return a;
  }

  detail::barrier_core core_;
  [[no_unique_address]] CompletionFunction completion_;
};

}  // namespace stray

#pragma GCC visibility pop
