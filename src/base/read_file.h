// A small file of the kernel's, read at once. Raw system calls; allocates nothing.
#pragma once

#include <cstddef>
#include <fcntl.h>

#include "base/syscalls.h"

namespace stray::base {

// At most n - 1 bytes, with a 0 behind them; false: it cannot be read.
inline bool read_file(const char* path, char* text, std::size_t n) noexcept {
  int fd = sys::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  long got = sys::read(fd, text, n - 1);
  sys::close(fd);
  if (got < 0) return false;
  text[got] = '\0';
  return true;
}

}  // namespace stray::base
