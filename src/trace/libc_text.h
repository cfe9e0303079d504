// Is this program counter at a `syscall` instruction of libc? Raw reads only; runs anywhere after find_libc_text.
#pragma once

#include <cstdint>

namespace stray::trace {

void find_libc_text() noexcept;            // at start-up
bool in_libc(std::uintptr_t pc) noexcept;  // or in the dynamic linker
// At the instruction, where the kernel will restart the call, or just behind it.
bool in_libc_syscall(std::uintptr_t pc) noexcept;

}  // namespace stray::trace
