// Goroutines: go, yield, sleep, and what a goroutine knows of itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <stray/detail/duration.hpp>
#include <stray/detail/exceptions.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/detail/library_mode.hpp>

#pragma GCC visibility push(default)

namespace stray {

// Options of go. stack_size in bytes (0: the default of STRAY_STACK_SIZE or 64 KiB), rounded up to 64 KiB times a power of two.
struct go_options {
  std::string_view name = {};  // in reports, dumps and profiles, as its label "name" (pprof.hpp); copied, not inherited
  std::size_t stack_size = 0;
};

namespace detail {

// How the runtime handles a closure of unknown type: it is stored once, moved to the goroutine's own stack, run, destroyed.
struct closure_ops {
  std::uint32_t size;
  std::uint32_t align;
  bool small;                 // it may live in the record until its first run: it fits and its move does not throw
  bool unwinds;               // compiled with exceptions: an unwinder runs its destructors
  void (*run)(void* stored);  // moves *stored to this stack (small) or uses it in place, destroys it, runs it
};
inline constexpr std::size_t small_closure = 128;

struct spawn_slot {
  void* storage;  // where to construct the closure
  void* record;   // the goroutine, in state init
};
// begin: throws std::bad_alloc, and then nothing was started. Then exactly one of commit and abandon.
spawn_slot spawn_begin(const closure_ops& ops, const go_options& options);
void spawn_commit(const spawn_slot& slot) noexcept;
void spawn_abandon(const spawn_slot& slot) noexcept;
void closure_moved() noexcept;  // the running goroutine's closure has left its record

template <class C>
void run_small(void* stored) {
  C* source = static_cast<C*>(stored);
  C closure(std::move(*source));
  source->~C();
  closure_moved();
  std::move(closure)();
}
template <class C>
void run_large(void* stored) {
  struct owner {
    C* closure;
    ~owner() {
      closure->~C();
      ::operator delete(closure, std::align_val_t(alignof(C)));
    }
  } keep{static_cast<C*>(stored)};
  closure_moved();
  std::move (*keep.closure)();
}
template <class C>
inline constexpr bool is_small = sizeof(C) <= small_closure && alignof(C) <= 16 && std::is_nothrow_move_constructible_v<C>;
#if defined(__cpp_exceptions)
constexpr bool has_exceptions = true;
#else
constexpr bool has_exceptions = false;
#endif
template <class C, bool Unwinds = has_exceptions>  // a parameter: two objects of a program may differ in it
inline constexpr closure_ops closure_ops_of = {sizeof(C), alignof(C), is_small<C>, Unwinds,
                                               is_small<C> ? &run_small<C> : &run_large<C>};

template <class F, class... Args>
struct bound {
  F f;
  std::tuple<Args...> args;
  void operator()() && { std::apply(std::move(f), std::move(args)); }
};

// always_inline: the return address of spawn_begin is then a line of the user's, which becomes "created by".
template <class C, class... Parts>
[[gnu::always_inline]] inline void spawn(const go_options& options, Parts&&... parts) {
  spawn_slot slot = spawn_begin(closure_ops_of<C>, options);
  if constexpr (std::is_nothrow_constructible_v<C, Parts...>) {
    ::new (slot.storage) C(std::forward<Parts>(parts)...);
  } else {
    STRAY_TRY { ::new (slot.storage) C(std::forward<Parts>(parts)...); }
    STRAY_UNDO(spawn_abandon(slot))
  }
  spawn_commit(slot);
}

}  // namespace detail

// Starts f(args...) on a new goroutine; f and args are decay-copied, as by std::thread. Never blocks. No order is promised; mostly the last
// one that a goroutine has started runs next, when that one blocks or yields, and then the others in the order of their start.
// Throws std::bad_alloc, or what copying throws: then nothing was started.
template <class F, class... Args>
  requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
[[gnu::always_inline]] inline void go(const go_options& options, F&& f, Args&&... args) {
  if constexpr (sizeof...(Args) == 0) {
    detail::spawn<std::decay_t<F>>(options, std::forward<F>(f));
  } else {
    using closure = detail::bound<std::decay_t<F>, std::decay_t<Args>...>;
    detail::spawn<closure>(options, std::forward<F>(f), std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...));
  }
}
template <class F, class... Args>
  requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
[[gnu::always_inline]] inline void go(F&& f, Args&&... args) {
  go(go_options{}, std::forward<F>(f), std::forward<Args>(args)...);
}

// Lets other goroutines run. On a plain OS thread: gives up the time slice.
void yield();

using time_point = std::chrono::steady_clock::time_point;
namespace detail {
void sleep_until_blocking(time_point t);
time_point timer_after(std::int64_t ns) noexcept;  // that long from now, on the clock that timers use, without overflow
}  // namespace detail
// Blocks the calling goroutine or thread until t.
[[gnu::always_inline]] inline void sleep_until(time_point t) {
  detail::sleep_until_blocking(t);
  STRAY_KEEP_FRAME;
}
// Blocks the calling goroutine or thread for at least d.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& d) {
  if (!(d.count() > 0)) return yield();
  sleep_until(detail::timer_after(detail::wait_ns(d)));
}

std::uint64_t goroutine_id() noexcept;  // 1, 2, ...; never reused; 0 on a plain OS thread
std::size_t num_goroutine() noexcept;   // goroutines that exist now (OS threads are not counted)
// Threads that run goroutines at the same time. At start: STRAY_MAXPROCS, else the usable cores, else what the cgroup's CPU limit allows
// (rounded up, but at least 2 where there are 2 cores). Goroutines in blocking() or locked to their thread run besides.
int maxprocs() noexcept;
int maxprocs(int n);  // sets it (n >= 1, at most 256) and returns the value before; n < 1 only asks

// The calling goroutine stays on its present thread, and the thread runs nothing else, until as many unlocks (or its end): for libraries
// that keep state in the thread. On a plain OS thread: no effect.
void lock_os_thread();
void unlock_os_thread();

namespace detail {
void blocking_begin() noexcept;
void blocking_end() noexcept;
}  // namespace detail
// Runs f here, on the calling goroutine (same stack, same id), and lets another thread run goroutines in this one's stead meanwhile: for
// blocking system calls and foreign code. Returns f's result; what f throws is passed on. May wait for its turn after f. Without it a
// worker that sleeps in the kernel is replaced, too, but only after some 10 ms.
template <class F>
std::invoke_result_t<F> blocking(F&& f) {
  struct section {
    section() noexcept { detail::blocking_begin(); }
    ~section() { detail::blocking_end(); }
    section(const section&) = delete;
    section& operator=(const section&) = delete;
  } during;
  return std::invoke(std::forward<F>(f));
}

// When every goroutine and every thread is blocked for good (no timer, no thread outside the library that could act), the process is ended
// as Go does it: "fatal error: all goroutines are asleep - deadlock!", a dump, exit status 2. false switches that off, as does
// STRAY_DEADLOCK=off; then the process hangs.
void deadlock_check(bool on) noexcept;

}  // namespace stray

#pragma GCC visibility pop
