// The threads of this process as the kernel lists them. Raw system calls only; runs anywhere, also while threads are stopped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fcntl.h>

#include "base/syscalls.h"
#include "trace/text.h"

namespace stray::trace {

struct task_look {
  char state = 'X';            // field 3 of its stat: R S D T t Z X ...; ? when the file cannot be read
  bool kernel_worker = false;  // made by the kernel for io_uring or vhost: never answers a signal
  char name[16] = {};
};
// False when the task is gone; what merely cannot be looked at (no descriptor is free) is not gone.
bool look_at_task(int tid, task_look& out) noexcept;
// The same of a task of process `pid`, for who shares our memory and not our process.
bool look_at_task_of(int pid, int tid, task_look& out) noexcept;

// A task as it sleeps in the kernel, without disturbing it.
struct task_sleep {
  std::uint64_t slices = 0;  // how often it was given a processor
  bool asleep = false;       // off the processor, in state S, D, T or t; else the rest is unknown
  int call = -1;             // the number of its system call; -1: it is in none
  std::uintptr_t sp = 0, pc = 0;
};
// False when the task is gone or one of its files cannot be read.
bool look_at_sleep(int tid, task_sleep& out) noexcept;
// It has not run since `before` was read: it was off the processor then, and has been given none since.
bool slept_on(int tid, const task_sleep& before) noexcept;

// So long it has had a processor; of one that has it now up to the last tick of the clock. False when the kernel does not tell.
bool time_on_processor(int tid, std::uint64_t& ns) noexcept;

// Does its signal mask hold the signal back?
bool task_blocks(int tid, int signal) noexcept;
// Is it inside sigwait for this signal? The kernel lifts the mask for that time, and would hand the signal to the caller. Unknown while the
// thread is on a processor or waits for one.
enum class awaits : std::uint8_t { no, yes, unknown };
awaits task_awaits(int tid, int signal) noexcept;

// Calls f(tid) for every task of the process; false when the list cannot be read.
template <class F>
bool each_task(F f) noexcept {
  int fd = base::sys::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  alignas(8) char buffer[8192];
  long n;
  while ((n = base::sys::call(SYS_getdents64, fd, base::sys::arg(buffer), sizeof buffer)) > 0) {
    for (long at = 0; at < n;) {
      const char* entry = buffer + at;
      auto length = *reinterpret_cast<const std::uint16_t*>(entry + 16);
      const char* name = entry + 19;
      int tid = static_cast<int>(take_dec(name));
      if (tid != 0) f(tid);
      at += length;
    }
  }
  base::sys::close(fd);
  return n == 0;
}

}  // namespace stray::trace
