// stray::wait_group: waits until a number of things are done.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <stray/detail/at_end.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/go.hpp>

#pragma GCC visibility push(default)

namespace stray {

// 8 bytes, constexpr-constructible. add happens before the wait that it should hold up; a wait_group may be reused after wait returned,
// and destroyed once no thread is inside wait or will call done. A counter below zero throws stray::panic "sync: negative WaitGroup
// counter".
class wait_group {
 public:
  constexpr wait_group() noexcept = default;
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;

  void add(std::int64_t n);
  void done() { add(-1); }
  // Blocks until the counter is 0.
  [[gnu::always_inline]] inline void wait() {
    wait_blocking();
    STRAY_KEEP_FRAME;
  }

  // add(1), then a goroutine that runs f (decay-copied), destroys it and calls done. Throws std::bad_alloc, or what copying throws: then nothing
  // was started, and the counter is what it was.
  template <class F>
  [[gnu::always_inline]] inline void go(F&& f) {
    add(1);
    finish at_end(*this);
    stray::go(counted<std::decay_t<F>>{std::move(at_end), std::forward<F>(f)});
  }

 private:
  using finish = detail::at_end<&wait_group::done>;
  template <class F>
  struct counted {
    finish at_end;  // first: it ends when f is destroyed
    F f;
    void operator()() && { std::move(f)(); }
  };
  void wait_blocking();
  std::atomic<std::uint64_t> word_{0};  // {counter:32 | waiters:32}
};

}  // namespace stray

#pragma GCC visibility pop
