// stray::error_group: goroutines that work on one task; the first that fails cancels the others.
#pragma once

#include <atomic>
#include <exception>
#include <string>
#include <utility>

#include <stray/chan.hpp>
#include <stray/context.hpp>
#include <stray/detail/at_end.hpp>
#include <stray/detail/exceptions.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/go.hpp>
#include <stray/panic.hpp>
#include <stray/wait_group.hpp>

#pragma GCC visibility push(default)

namespace stray {

// Its functions may be called by goroutines and OS threads; wait and set_limit by one at a time. Neither copyable nor movable: its goroutines
// refer to it, so its destructor cancels ctx() and waits for them. For one use: after wait, ctx() is cancelled.
class error_group {
 public:
  error_group() : error_group(background()) {}
  explicit error_group(const context& parent) : error_group(with_cancel(parent)) {}
  error_group(const error_group&) = delete;
  error_group& operator=(const error_group&) = delete;
  ~error_group() {
    cancel_();
    group_.wait();
  }

  // Derived from the parent; cancelled by the first exception that leaves a function of go, by wait, and by the destructor.
  const context& ctx() const noexcept { return ctx_; }

  // Runs f in a goroutine; f is decay-copied. Blocks while as many run as set_limit allows. Throws std::bad_alloc, or what copying throws:
  // then nothing was started.
  template <class F>
  [[gnu::always_inline]] inline void go(F&& f) {
    if (limit_) {
      limit_.send();
      STRAY_KEEP_FRAME;
    }
    start(std::forward<F>(f));
  }
  // The same without blocking; false: nothing was started, since as many run as allowed.
  template <class F>
  [[gnu::always_inline]] inline bool try_go(F&& f) {
    if (limit_ && !limit_.try_send()) return false;
    start(std::forward<F>(f));
    return true;
  }

  // Blocks until all functions have returned, cancels ctx(), and rethrows the first exception that left one; so does every later call.
  [[gnu::always_inline]] inline void wait() {
    group_.wait();
    cancel_();
    if (failed_.load(std::memory_order_acquire)) std::rethrow_exception(error_);  // order: pairs with fail's, as group_ does
  }

  // At most n functions run at a time from now on; 0: none can be started; n < 0: no limit. Throws stray::panic while some run.
  // always_inline: the channel is then made at a line of the user's.
  [[gnu::always_inline]] inline void set_limit(int n) {
    if (std::size_t active = limit_.len(); active != 0) {
      detail::throw_panic("errgroup: modify limit while " + std::to_string(active) +
                          " goroutines in the group are still active");
    }
    limit_ = n < 0 ? chan<void>() : make_chan<void>(static_cast<std::size_t>(n));
  }

 private:
  explicit error_group(cancelable_context made) : ctx_(std::move(made.ctx)), cancel_(std::move(made.cancel)) {}

  void leave() noexcept {
    if (limit_) limit_.try_recv();
  }
  void fail() noexcept {
    if (claimed_.exchange(true)) return;
    error_ = std::current_exception();
    failed_.store(true, std::memory_order_release);  // order: error_ before it
    cancel_();
  }

  using leaves = detail::at_end<&error_group::leave>;
  template <class F>
  struct member {
    leaves at_end;  // first: it ends when f is destroyed
    F f;
    void operator()() && {
      STRAY_TRY {
        std::move(f)();
        STRAY_KEEP_FRAME;
      }
      STRAY_CATCH(at_end.owner().fail())
    }
  };
  template <class F>
  [[gnu::always_inline]] inline void start(F&& f) {
    leaves at_end(*this);
    group_.go(member<std::decay_t<F>>{std::move(at_end), std::forward<F>(f)});
  }

  context ctx_;
  cancel_func cancel_;
  wait_group group_;
  chan<void> limit_;  // room for as many as may run; nil: no limit
  std::atomic<bool> claimed_{false}, failed_{false};
  std::exception_ptr error_;
};

}  // namespace stray

#pragma GCC visibility pop
