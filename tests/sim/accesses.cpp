// Called by the compiler's instrumentation (-fsanitize=thread, of which only the compiler's half is used) at each access to memory.
// Compiled without it. The accesses happen here, after the scheduler has had its chance.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "scheduler.h"

namespace {
[[gnu::always_inline]] inline void announce(int weight) noexcept {
  if (__builtin_expect((sim::countdown -= weight) <= 0, false)) sim::interrupt(__builtin_return_address(0));
}
}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) { announce(1); }
void __tsan_vptr_read(void**) { announce(1); }
void __tsan_read_range(void*, std::size_t) { announce(1); }
void __tsan_write_range(void*, std::size_t) { announce(1); }
void* __tsan_memcpy(void* to, const void* from, std::size_t n) {  // clang's
  announce(1);
  return std::memcpy(to, from, n);
}
void* __tsan_memmove(void* to, const void* from, std::size_t n) {
  announce(1);
  return std::memmove(to, from, n);
}
void* __tsan_memset(void* to, int value, std::size_t n) {
  announce(1);
  return std::memset(to, value, n);
}
void __tsan_atomic_signal_fence(int) {}
void __tsan_atomic_thread_fence(int) { announce(8); }

#define PLAIN(n)                                        \
  void __tsan_read##n(void*) { announce(1); }           \
  void __tsan_write##n(void*) { announce(1); }          \
  void __tsan_unaligned_read##n(void*) { announce(1); } \
  void __tsan_unaligned_write##n(void*) { announce(1); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

#define CHANGE(bits, type, name, builtin)                                 \
  type __tsan_atomic##bits##_##name(volatile type* at, type value, int) { \
    announce(8);                                                          \
    return builtin(at, value, __ATOMIC_SEQ_CST);                          \
  }
#define COMPARE(bits, type, name)                                                                                \
  int __tsan_atomic##bits##_compare_exchange_##name(volatile type* at, type* expected, type desired, int, int) { \
    announce(8);                                                                                                 \
    return __atomic_compare_exchange_n(at, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }
#define COMPARE_VALUE(bits, type)                                                                             \
  type __tsan_atomic##bits##_compare_exchange_val(volatile type* at, type expected, type desired, int, int) { \
    announce(8);                                                                                              \
    __atomic_compare_exchange_n(at, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);           \
    return expected;                                                                                          \
  }
#define ATOMIC(bits, type)                                               \
  type __tsan_atomic##bits##_load(const volatile type* at, int) {        \
    announce(8);                                                         \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                        \
  }                                                                      \
  void __tsan_atomic##bits##_store(volatile type* at, type value, int) { \
    announce(8);                                                         \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                       \
  }                                                                      \
  CHANGE(bits, type, exchange, __atomic_exchange_n)                      \
  CHANGE(bits, type, fetch_add, __atomic_fetch_add)                      \
  CHANGE(bits, type, fetch_sub, __atomic_fetch_sub)                      \
  CHANGE(bits, type, fetch_and, __atomic_fetch_and)                      \
  CHANGE(bits, type, fetch_or, __atomic_fetch_or)                        \
  CHANGE(bits, type, fetch_xor, __atomic_fetch_xor)                      \
  COMPARE(bits, type, strong)                                            \
  COMPARE(bits, type, weak) COMPARE_VALUE(bits, type)
ATOMIC(8, std::uint8_t)
ATOMIC(16, std::uint16_t)
ATOMIC(32, std::uint32_t)
ATOMIC(64, std::uint64_t)
}
