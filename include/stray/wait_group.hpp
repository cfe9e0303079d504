// stray::wait_group: waits until a number of things are done.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

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

  // add(1), then a goroutine that runs f and calls done.
  template <class F>
  [[gnu::always_inline]] inline void go(F&& f) {
    add(1);
    struct finish {
      wait_group* group;
      ~finish() {
        if (group != nullptr) group->done();
      }
    } nothing_started{this};
    stray::go([this, f = std::forward<F>(f)]() mutable {
      finish at_end{this};
      std::move(f)();
    });
    nothing_started.group = nullptr;
  }

 private:
  void wait_blocking();
  std::atomic<std::uint64_t> word_{0};  // {counter:32 | waiters:32}
};

}  // namespace stray

#pragma GCC visibility pop
