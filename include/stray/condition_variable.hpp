// stray::condition_variable: waits on any Lockable, for goroutines and OS threads.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>  // std::cv_status
#include <cstdint>
#include <utility>

#include <stray/detail/duration.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/go.hpp>

#pragma GCC visibility push(default)

namespace stray {

namespace detail {
// One wait, in two steps, so that the caller's lock is released in between and no notification is lost.
class condition_wait {
 public:
  explicit condition_wait(std::atomic<std::uint64_t>& waiters);  // from here on a notify counts
  ~condition_wait();
  condition_wait(const condition_wait&) = delete;
  condition_wait& operator=(const condition_wait&) = delete;
  bool block(std::int64_t timeout_ns);  // false: timed out

 private:
  std::atomic<std::uint64_t>& waiters_;
  void* node_;
};
}  // namespace detail

// constexpr-constructible. notify may be called with or without the lock. Spurious wakes are possible, as in the standard.
class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  void notify_one() noexcept;
  void notify_all() noexcept;

  template <class Lock>
  [[gnu::always_inline]] inline void wait(Lock& lock) {
    wait_ns(lock, -1);
    STRAY_KEEP_FRAME;
  }
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate ready) {
    while (!ready()) wait(lock);
  }
  template <class Lock, class Rep, class Period>
  std::cv_status wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d) {
    return wait_ns(lock, detail::wait_ns(d)) ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, const std::chrono::duration<Rep, Period>& d, Predicate ready) {
    return wait_until_timer(lock, detail::timer_after(detail::wait_ns(d)), std::move(ready));
  }
  // Any clock; one that is set back or forth while it waits is asked again at the end.
  template <class Lock, class Clock, class Duration>
  std::cv_status wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& t) {
    auto now = Clock::now();
    if (wait_for(lock, t > now ? t - now : decltype(t - now)::zero()) == std::cv_status::no_timeout)
      return std::cv_status::no_timeout;
    return Clock::now() < t ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, const std::chrono::time_point<Clock, Duration>& t, Predicate ready) {
    while (!ready()) {
      if (wait_until(lock, t) == std::cv_status::timeout) return ready();
    }
    return true;
  }

 private:
  template <class Lock, class Predicate>
  bool wait_until_timer(Lock& lock, time_point end, Predicate ready) {
    while (!ready()) {
      if (wait_for(lock, end - detail::timer_after(0)) == std::cv_status::timeout) return ready();
    }
    return true;
  }
  template <class Lock>
  bool wait_ns(Lock& lock, std::int64_t timeout_ns) {
    struct relock {
      Lock& lock;
      ~relock() noexcept(false) { lock.lock(); }
    };
    detail::condition_wait waiting(waiters_);
    lock.unlock();
    relock again{lock};
    return waiting.block(timeout_ns);
  }

  std::atomic<std::uint64_t> waiters_{0};  // queued waits; also the key of the parking table
};

}  // namespace stray

#pragma GCC visibility pop
