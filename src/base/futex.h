// Waiting on a word. Private futexes only: nothing of ours is shared between processes.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <linux/futex.h>

#include "base/syscalls.h"

namespace stray::base {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4);

// Sleeps while *word == expected; returns on a wake, a signal, a spurious wake or at the timeout. Callers loop.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* relative = nullptr) noexcept {
  sys::call(SYS_futex, sys::arg(&word), FUTEX_WAIT_PRIVATE, static_cast<long>(expected), sys::arg(relative));
}
inline void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  sys::call(SYS_futex, sys::arg(&word), FUTEX_WAKE_PRIVATE, count);
}

}  // namespace stray::base
