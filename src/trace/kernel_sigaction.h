// What rt_sigaction takes, without libc.
#pragma once

#include <cstdint>

namespace stray::trace {

struct kernel_sigaction {
  std::uintptr_t handler;
  unsigned long flags;
  std::uintptr_t restorer;
  std::uint64_t mask;
};

}  // namespace stray::trace
