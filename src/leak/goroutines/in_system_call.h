// Goroutines that hold their worker asleep in the kernel: in std::mutex, std::future, read, and so on. For dumps, never for a verdict.
//
// 1. The kernel says which call a sleeping thread is in, and where its stack ends: /proc/self/task/TID/syscall. Nobody is stopped.
// 2. What was read of a stack counts only if the thread has slept on meanwhile.
// 3. Without that file (a process that may not look at itself) a goroutine is said to run, as before.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/task.h"

namespace stray::leak {

struct in_system_call {
  int number = 0;
  int tid = 0;
  wait_id during;  // its record may be somebody else's by now
  std::vector<std::uintptr_t> pcs;
  std::string state() const;  // "syscall futex, thread 4711"
};

using system_calls = std::unordered_map<const runtime::task*, in_system_call>;
system_calls goroutines_in_system_calls();

}  // namespace stray::leak
