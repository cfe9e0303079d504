// What the sanitizers must be told about a switch of stacks. Empty without them.
#pragma once

#include "runtime/context.h"
#include "runtime/worker.h"

#if defined(STRAY_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(STRAY_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace stray::runtime::fiber {

#if defined(STRAY_TSAN) || defined(STRAY_ASAN)
inline constexpr bool own_stacks = true;  // to the sanitizer a goroutine is its stack: it is not passed on
#else
inline constexpr bool own_stacks = false;
#endif

#if defined(STRAY_TSAN)
inline void create(task* t) noexcept { t->fiber = __tsan_create_fiber(0); }
inline void destroy(task* t) noexcept {
  if (t->fiber != nullptr) __tsan_destroy_fiber(t->fiber);
  t->fiber = nullptr;
}
inline void* of_thread() noexcept { return __tsan_get_current_fiber(); }
// Just before a switch to `to` (nullptr: the worker's own stack); what it returns goes to arrived() of the context that is left.
inline void* leave(task* to, worker* w, bool) noexcept {
  __tsan_switch_to_fiber(to != nullptr ? to->fiber : w->fiber, 0);
  return nullptr;
}
inline void arrived(void*) noexcept {}
inline void forget_stack(task*) noexcept {}
#elif defined(STRAY_ASAN)
inline void create(task*) noexcept {}
inline void destroy(task*) noexcept {}
inline void* of_thread() noexcept { return nullptr; }
inline void* leave(task* to, worker* w, bool for_ever) noexcept {
  void* fake_stack = nullptr;
  void* lo = nullptr;
  std::size_t n = 0;
  if (to != nullptr) {
    lo = reinterpret_cast<void*>(to->stack_lo);
    n = to->stack_hi - to->stack_lo;
  } else {
    lo = reinterpret_cast<void*>(w->native.lo);
    n = w->native.size();
  }
  __sanitizer_start_switch_fiber(for_ever ? nullptr : &fake_stack, lo, n);
  return fake_stack;
}
inline void arrived(void* fake_stack) noexcept { __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr); }
// The frames of a goroutine that ended leave their red zones poisoned.
inline void forget_stack(task* t) noexcept {
  __asan_unpoison_memory_region(reinterpret_cast<void*>(t->stack_lo + base::page_size),
                                t->stack_hi - t->stack_lo - base::page_size);
}
#else
inline void create(task*) noexcept {}
inline void destroy(task*) noexcept {}
inline void* of_thread() noexcept { return nullptr; }
inline void* leave(task*, worker*, bool) noexcept { return nullptr; }
inline void arrived(void*) noexcept {}
inline void forget_stack(task*) noexcept {}
#endif

}  // namespace stray::runtime::fiber
