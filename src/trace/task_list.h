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
// Does its signal mask hold the signal back?
bool task_blocks(int tid, int signal) noexcept;

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
