// Has the runtime started? It does at the first go, make_chan or park, and again at the first use in the child of a fork (after_fork.h).
#pragma once

#include <atomic>

namespace stray::runtime {

enum class phase : int {
  not_started,
  starting,
  running,
  forked,  // the child of a process that had started, or was about to
};
extern constinit std::atomic<phase> now_in;

inline bool started() noexcept { return now_in.load() == phase::running; }

void start_once();  // start.cpp, which stands above all that may be the first to need it
// Idempotent; any thread.
inline void ensure_started() {
  if (__builtin_expect(now_in.load(std::memory_order_acquire) == phase::running, 1))
    return;  // order: pairs with the store of running
  start_once();
}

}  // namespace stray::runtime
