// Timers: after, timer, ticker, after_func. Go 1.23's semantics: once stop() or reset() has returned, no value of the time before is received.
//
// A timer sends the time at which it fired into its channel, which has room for one value; a ticker drops what its receiver has not taken.
// Handles are cheap, copyable and counted, and compare by identity; one handle object is not synchronised, copies of it are (as with
// shared_ptr). Every function may be called by a goroutine or by any OS thread, and none of them blocks. Dropping a timer does not stop it;
// dropping the last handle of a ticker does (its channel stays open, as after stop). The detector knows: a pending timer will wake its
// receivers, and so may whoever holds a handle of a stopped one (by reset); a handle of the channel alone cannot.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include <stray/chan.hpp>
#include <stray/detail/duration.hpp>
#include <stray/detail/exceptions.hpp>
#include <stray/go.hpp>

#pragma GCC visibility push(default)

namespace stray {

namespace detail {

struct timer_block;  // src/sync/time.cpp

struct after_func_ops {
  std::uint32_t size;
  std::uint32_t align;
  void (*call)(void* stored);
  void (*destroy)(void* stored) noexcept;
};
template <class F>
inline constexpr after_func_ops after_func_ops_of = {sizeof(F), alignof(F), [](void* stored) { (*static_cast<F*>(stored))(); },
                                                     [](void* stored) noexcept { static_cast<F*>(stored)->~F(); }};
struct after_func_slot {
  timer_block* block;
  void* storage;  // where to construct the function
};
// Armed. period 0: a timer. Throw std::bad_alloc.
timer_block* timer_make(std::int64_t ns, std::int64_t period);
after_func_slot after_func_begin(const after_func_ops& ops);  // then exactly one of commit and abandon
void after_func_commit(timer_block* t, std::int64_t ns) noexcept;
void after_func_abandon(timer_block* t) noexcept;
recv_chan<time_point> timer_after_chan(std::int64_t ns);

void timer_ref(timer_block* t) noexcept;    // t may be nullptr
void timer_unref(timer_block* t) noexcept;  // the same; runs destructors of users when it is the last
recv_chan<time_point> timer_channel(const timer_block* t) noexcept;
bool timer_stop(timer_block* t);
bool timer_reset(timer_block* t, std::int64_t ns);
void ticker_stop(timer_block* t) noexcept;
void ticker_reset(timer_block* t, std::int64_t period);

std::int64_t ticker_period(std::int64_t ns, const char* otherwise);  // throws stray::panic otherwise when it is 0

class timer_handle {
 public:
  constexpr timer_handle() noexcept = default;
  explicit timer_handle(timer_block* adopt) noexcept : block_(adopt) {}
  timer_handle(const timer_handle& other) noexcept : block_(other.block_) { timer_ref(block_); }
  timer_handle(timer_handle&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  timer_handle& operator=(timer_handle other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~timer_handle() { timer_unref(block_); }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  timer_block* block() const noexcept { return block_; }

 private:
  timer_block* block_ = nullptr;
};

}  // namespace detail

// One shot. A default-constructed or moved-from timer is uninitialized: stop and reset throw stray::panic.
class timer : public detail::timer_handle {
 public:
  constexpr timer() noexcept = default;
  // Fires once d has passed; d <= 0: at once. Throws std::bad_alloc.
  template <class Rep, class Period>
  [[gnu::always_inline]] explicit timer(const std::chrono::duration<Rep, Period>& d)
      : timer_handle(detail::timer_make(detail::wait_ns(d), 0)) {}

  // Nil (blocks for ever) for after_func's.
  recv_chan<time_point> channel() const noexcept { return detail::timer_channel(block()); }
  // true: it was pending (or its value had not been received) and will not fire any more. Of an after_func: false when f has been started
  // already; stop does not wait for it. Throws stray::panic "time: Stop called on uninitialized Timer".
  bool stop() const { return detail::timer_stop(block()); }
  // As stop, then fires (or runs f, again if need be) once d has passed. Returns what stop would have.
  // Throws stray::panic "time: Reset called on uninitialized Timer".
  template <class Rep, class Period>
  bool reset(const std::chrono::duration<Rep, Period>& d) const {
    return detail::timer_reset(block(), detail::wait_ns(d));
  }
  friend bool operator==(const timer& a, const timer& b) noexcept { return a.block() == b.block(); }

 private:
  template <class Rep, class Period, class F>
  friend timer after_func(const std::chrono::duration<Rep, Period>& d, F&& f);
  using timer_handle::timer_handle;
};

// A channel of which the time can be received once d has passed. Like timer(d).channel(): nobody can stop it.
template <class Rep, class Period>
[[nodiscard, gnu::always_inline]] inline recv_chan<time_point> after(const std::chrono::duration<Rep, Period>& d) {
  return detail::timer_after_chan(detail::wait_ns(d));
}

// Runs f in its own goroutine once d has passed (d <= 0: at once). f is decay-copied into the timer and called there as an lvalue; with
// reset it may run again, and then two runs may overlap. It is destroyed with the last handle, once it is neither pending nor running.
// An exception that leaves f ends the process, as from any goroutine. Throws std::bad_alloc, or what copying throws.
template <class Rep, class Period, class F>
[[gnu::always_inline]] inline timer after_func(const std::chrono::duration<Rep, Period>& d, F&& f) {
  using function = std::decay_t<F>;
  static_assert(std::is_invocable_v<function&>, "after_func takes a function that can be called without arguments");
  detail::after_func_slot slot = detail::after_func_begin(detail::after_func_ops_of<function>);
  if constexpr (std::is_nothrow_constructible_v<function, F>) {
    ::new (slot.storage) function(std::forward<F>(f));
  } else {
    STRAY_TRY { ::new (slot.storage) function(std::forward<F>(f)); }
    STRAY_UNDO(detail::after_func_abandon(slot.block))
  }
  detail::after_func_commit(slot.block, detail::wait_ns(d));
  return timer(slot.block);
}

// Fires every d. A tick that finds the one before still there is dropped. stop does not close the channel.
class ticker : public detail::timer_handle {
 public:
  constexpr ticker() noexcept = default;
  // Throws stray::panic "non-positive interval for NewTicker", std::bad_alloc.
  template <class Rep, class Period>
  [[gnu::always_inline]] explicit ticker(const std::chrono::duration<Rep, Period>& d) : ticker(period_of(d)) {}

  recv_chan<time_point> channel() const noexcept { return detail::timer_channel(block()); }
  void stop() const noexcept { detail::ticker_stop(block()); }
  // The next tick comes d from now, then one every d. Starts a stopped ticker again.
  // Throws stray::panic "non-positive interval for Ticker.Reset", "time: Reset called on uninitialized Ticker".
  template <class Rep, class Period>
  void reset(const std::chrono::duration<Rep, Period>& d) const {
    detail::ticker_reset(block(), detail::ticker_period(detail::wait_ns(d), "non-positive interval for Ticker.Reset"));
  }
  friend bool operator==(const ticker& a, const ticker& b) noexcept { return a.block() == b.block(); }

 private:
  struct period {
    std::int64_t ns;
  };
  template <class Rep, class Period>
  static period period_of(const std::chrono::duration<Rep, Period>& d) {
    return {detail::ticker_period(detail::wait_ns(d), "non-positive interval for NewTicker")};
  }
  [[gnu::always_inline]] explicit ticker(period p) : timer_handle(detail::timer_make(p.ns, p.ns)) {}
};

}  // namespace stray

#pragma GCC visibility pop
