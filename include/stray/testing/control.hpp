// For tests: waiting for a state instead of sleeping, and time that moves when it is told to.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <stray/detail/duration.hpp>
#include <stray/go.hpp>

#pragma GCC visibility push(default)

namespace stray::testing {

// Waits until at least n goroutines are blocked in a primitive (any reason but sleep). Never gives up: a test has its own time limit.
void until_parked(std::size_t n);
// Waits until at least n timers are pending: sleeps and time-outs of goroutines and OS threads, timers, tickers, deadlines of contexts.
void until_pending(std::size_t n);
// Waits until every goroutine but the caller is blocked, asleep or at its end, and says whether they were so within the limit. Those that get
// woken at the same moment may be missed: for what wakes by itself wait with until_parked or until_pending.
template <class Rep, class Period>
bool until_settled(const std::chrono::duration<Rep, Period>& limit);

// While one exists, time stands still for sleep, time-outs, timers, tickers and the deadlines of contexts, in goroutines and OS threads
// alike, and moves only by advance(). It begins at the time of its construction. What is pending then waits for advance(), too; what is
// still pending at its end keeps the time that it had left. Only one may exist (throws stray::panic). std::chrono's clocks are not
// touched, nor are ages in reports.
class fake_clock {
 public:
  fake_clock();
  ~fake_clock();
  fake_clock(const fake_clock&) = delete;
  fake_clock& operator=(const fake_clock&) = delete;

  time_point now() const noexcept;
  // Moves time by d and fires what is due on the way, in order, each with now() at its time. When it returns, channels of timers have their
  // values, contexts past their deadline are cancelled, and goroutines whose sleep is over are runnable (they need not have run yet; nor
  // need functions of after_func). One caller at a time; any goroutine or OS thread.
  template <class Rep, class Period>
  void advance(const std::chrono::duration<Rep, Period>& d) {
    advance_ns(stray::detail::wait_ns(d));
  }

 private:
  void advance_ns(std::int64_t ns);
};

namespace detail {
bool until_settled_ns(std::int64_t limit_ns);
}
template <class Rep, class Period>
bool until_settled(const std::chrono::duration<Rep, Period>& limit) {
  return detail::until_settled_ns(stray::detail::wait_ns(limit));
}

}  // namespace stray::testing

#pragma GCC visibility pop
