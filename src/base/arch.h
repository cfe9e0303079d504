// What the code assumes of the machine, in one place.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__) || !defined(__linux__)
#error "stray runs on Linux x86-64 today; a port starts in src/base/arch.h and src/runtime/context_x86_64.S"
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(STRAY_SIM)  // the simulator answers what the compiler inserts
#define STRAY_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define STRAY_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(STRAY_SIM)
#define STRAY_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define STRAY_ASAN 1
#endif

namespace stray::base {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t cache_line = 64;
constexpr std::uintptr_t page_up(std::uintptr_t bytes) noexcept { return (bytes + page_size - 1) & ~(page_size - 1); }
// User addresses have 47 bits; a word is tested after masking, so that tags in the high bits do not hide a pointer.
inline constexpr std::uintptr_t address_mask = 0x7fff'ffff'ffff;

// eax, ebx, ecx, edx of a leaf. A virtual machine may take long to answer.
inline void cpuid(unsigned leaf, unsigned subleaf, unsigned (&r)[4]) noexcept {
  r[0] = leaf, r[2] = subleaf;
  asm volatile("cpuid" : "+a"(r[0]), "=b"(r[1]), "+c"(r[2]), "=d"(r[3]));
}

// Asks for the first lines of bytes that are read soon; a hint, wherever they lie. A goroutine's stack has its own page, so it is a miss of
// the caches and of the TLB alike.
inline void prefetch(std::uintptr_t lo, std::uintptr_t hi) noexcept {
  constexpr std::size_t lines = 8;
  for (std::size_t i = 0; i < lines && lo < hi; i++, lo += cache_line) __builtin_prefetch(reinterpret_cast<const void*>(lo));
}

// Every load and store before it is seen before every one after it. ThreadSanitizer knows no fences, but read-modify-writes.
inline void full_fence() noexcept {
#if defined(STRAY_TSAN)
  static std::atomic<unsigned> word{0};
  word.fetch_add(1);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace stray::base
