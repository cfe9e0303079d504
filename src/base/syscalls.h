// System calls without libc: no errno, no cancellation point, no lazy binding.
// Runs anywhere, also in a signal handler and in the snapshot (where libc may be in any state).
// Each returns what the kernel returns: >= 0, or -errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <sys/syscall.h>

namespace stray::base::sys {

inline long call(long nr, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept {
  long ret;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return ret;
}

template <class T>
inline long arg(T* p) noexcept {
  return static_cast<long>(reinterpret_cast<std::uintptr_t>(p));
}

inline int gettid() noexcept { return static_cast<int>(call(SYS_gettid)); }
inline int getpid() noexcept { return static_cast<int>(call(SYS_getpid)); }
inline long read(int fd, void* p, std::size_t n) noexcept { return call(SYS_read, fd, arg(p), static_cast<long>(n)); }
inline long pread(int fd, void* p, std::size_t n, std::uint64_t at) noexcept {
  return call(SYS_pread64, fd, arg(p), static_cast<long>(n), static_cast<long>(at));
}
inline long write(int fd, const void* p, std::size_t n) noexcept { return call(SYS_write, fd, arg(p), static_cast<long>(n)); }
inline int open(const char* path, int flags) noexcept {
  return static_cast<int>(call(SYS_openat, -100 /* AT_FDCWD */, arg(path), flags, 0));
}
inline void close(int fd) noexcept { call(SYS_close, fd); }
inline long mmap(std::uintptr_t at, std::size_t n, int prot, int flags, int fd = -1) noexcept {
  return call(SYS_mmap, static_cast<long>(at), static_cast<long>(n), prot, flags, fd, 0);
}
inline long munmap(std::uintptr_t at, std::size_t n) noexcept {
  return call(SYS_munmap, static_cast<long>(at), static_cast<long>(n));
}
// CLOCK_MONOTONIC without the vDSO: for code that may call nothing.
inline std::int64_t now_ns() noexcept {
  timespec t{};
  call(SYS_clock_gettime, CLOCK_MONOTONIC, arg(&t));
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
[[noreturn]] inline void exit_group(int status) noexcept {
  for (;;) call(SYS_exit_group, status);
}

}  // namespace stray::base::sys
