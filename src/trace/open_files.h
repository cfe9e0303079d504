// The descriptors of this process, as far as they bear on a clone that shares them. Raw system calls; allocates nothing.
#pragma once

namespace stray::trace {

struct open_files {
  bool userfaultfd = false;  // it may ask to be told of forks: the clone would wait for a thread that we have stopped
  bool direct_io = false;    // O_DIRECT: a write-protected page may be replaced under a transfer in flight
};
open_files look_at_open_files() noexcept;

// Kernels from 6.5 on pin the pages of a direct transfer, which a fork then leaves alone. `release` as uname says it.
bool fork_spares_direct_io(const char* release) noexcept;
bool fork_spares_direct_io() noexcept;

// Closes what the child `pid`, which shared our descriptors and was killed, had open: files of its own folder in /proc.
void close_files_of(long pid) noexcept;

}  // namespace stray::trace
