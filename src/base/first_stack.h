// The stack of the first thread, which no pthread_create has made.
#pragma once

#include <cstdint>

extern "C" void* __libc_stack_end
    __attribute__((weak));  // NOLINT(bugprone-reserved-identifier): of the dynamic linker, or of a static libc

namespace stray::base {

// Where its stack pointer stood when the process started: arguments and environment lie from there up, its frames below. 0: unknown.
inline std::uintptr_t first_stack_end() noexcept {
  return &__libc_stack_end != nullptr ? reinterpret_cast<std::uintptr_t>(__libc_stack_end) : 0;
}

}  // namespace stray::base
