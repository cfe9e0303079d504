// What the library asks of the operating system about threads and time, in one place, so that a test can take the system's part.
//
// 1. Built with STRAY_SIM (tests/sim), a seeded scheduler of virtual threads on one OS thread answers instead, and capacities are small, so
//    that their ends are met. Atomics need no shim there: the compiler announces each access (tests/sim/accesses.cpp).
// 2. Futexes are private: nothing of ours is shared between processes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <linux/futex.h>
#include <pthread.h>

#include "base/arch.h"
#include "base/syscalls.h"

namespace stray::base {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4);

#if defined(STRAY_SIM)

constexpr std::uint32_t capacity(std::uint32_t n) noexcept { return n < 4 ? n : 4; }
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* relative = nullptr) noexcept;
void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept;
void cpu_relax() noexcept;
void yield_core() noexcept;
void nap(std::int64_t ns) noexcept;
int thread_id() noexcept;
char thread_state(int tid) noexcept;
void own_stack(void** lo, std::size_t* size) noexcept;
int make_thread(pthread_t* thread, const char* name, void* (*body)(void*), void* arg) noexcept;
std::int64_t now_ns() noexcept;
std::uint64_t cycle_counter() noexcept;

#else

// How large a bounded thing is.
constexpr std::uint32_t capacity(std::uint32_t n) noexcept { return n; }

// Sleeps while *word == expected; returns on a wake, a signal, a spurious wake or at the timeout. Callers loop.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* relative = nullptr) noexcept {
  sys::call(SYS_futex, sys::arg(&word), FUTEX_WAIT_PRIVATE, static_cast<long>(expected), sys::arg(relative));
}
inline void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  sys::call(SYS_futex, sys::arg(&word), FUTEX_WAKE_PRIVATE, count);
}

inline void cpu_relax() noexcept { __builtin_ia32_pause(); }
inline void yield_core() noexcept { sys::call(SYS_sched_yield); }
inline void nap(std::int64_t ns) noexcept {
  timespec t{static_cast<std::time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  sys::call(SYS_nanosleep, sys::arg(&t), 0);
}

inline int thread_id() noexcept { return sys::gettid(); }
// Where the calling thread's stack lies; unchanged when that cannot be told.
inline void own_stack(void** lo, std::size_t* size) noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  pthread_attr_getstack(&attributes, lo, size);
  pthread_attr_destroy(&attributes);
}
// Returns an errno; 0: it runs.
inline int make_thread(pthread_t* thread, const char* name, void* (*body)(void*), void* arg) noexcept {
  int error = pthread_create(thread, nullptr, body, arg);
  if (error == 0) pthread_setname_np(*thread, name);
  return error;
}

// CLOCK_MONOTONIC in nanoseconds: what std::chrono::steady_clock reads. The one clock of the library.
inline std::int64_t now_ns() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
// A number that differs from call to call; for seeds only.
inline std::uint64_t cycle_counter() noexcept { return __builtin_ia32_rdtsc(); }

#endif

}  // namespace stray::base
