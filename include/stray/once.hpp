// stray::once: runs a function once, whoever comes first. As std::call_once, for goroutines and OS threads alike.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include <stray/detail/keep_frame.hpp>

#pragma GCC visibility push(default)

namespace stray {

// 8 bytes, constexpr-constructible.
class once {
 public:
  constexpr once() noexcept = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;

  // Runs f unless a call has returned from its function already; blocks while another runs. Who returns sees what that function did. If f
  // throws, the exception goes to this caller, and the one that has waited longest runs its own function next. One load when all is done.
  // To call it from inside f blocks for ever, and the detector names the owner.
  template <class F>
  [[gnu::always_inline]] inline void call(F&& f) {
    if (__builtin_expect(word_.load(std::memory_order_acquire) == done, true)) return;  // order: pairs with finish
    bool mine = begin_blocking();
    STRAY_KEEP_FRAME;
    if (!mine) return;
    struct turn {
      once* of;
      bool returned = false;
      ~turn() { of->finish(returned); }
    } now{this};
    std::invoke(std::forward<F>(f));
    now.returned = true;
  }

 private:
  static constexpr std::uint64_t done = 1;
  bool begin_blocking();  // true: it is the caller's turn
  void finish(bool returned) noexcept;
  std::atomic<std::uint64_t> word_{0};  // {runner's id:56, thread:1, waiters:1, spare:5, done:1}; 0: not run yet
};

}  // namespace stray

#pragma GCC visibility pop
