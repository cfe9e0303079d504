// Walks a stack that is not running, out of memory, into return addresses.
//
// 1. Reads only [stack.lo, stack.hi) through the reader and unwind tables of loaded modules: a wild CFI ends the walk, it cannot fault.
// 2. Allocation and locks are allowed (the parent runs it after the snapshot, never while threads are stopped).
// 3. One rule a pc {CFA, return address, saved registers} is read from .eh_frame once and cached until a module is unloaded.
// 4. regs.pc is exact; the others are return addresses and are looked up one byte before, unless a signal frame lies between.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stray::profile {

struct registers {
  std::uintptr_t pc = 0, sp = 0, rbp = 0, rbx = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
};
struct stack_bounds {
  std::uintptr_t lo = 0, hi = 0;
};

// Return addresses from the innermost out, pcs[0] = regs.pc. Stops at max, at the entry frame (.cfi_undefined rip) or where unwinding fails.
// image_shift: the bytes of [stack.lo, stack.hi) lie at address + image_shift (a copy of another process's stack).
std::size_t unwind(const registers& regs, stack_bounds stack, std::uintptr_t* pcs, std::size_t max,
                   std::intptr_t image_shift = 0) noexcept;
// As unwind, of who sleeps in the kernel: only pc and sp are known. Where a frame is described by a register that nobody below has saved, its
// return address is the first word behind a direct call of its function; if there is none the walk ends.
std::size_t unwind_asleep(std::uintptr_t pc, std::uintptr_t sp, stack_bounds stack, std::uintptr_t* pcs,
                          std::size_t max) noexcept;
// In the child of a fork, as forget_symbols.
void forget_rules();

// The calling thread's own stack; pcs[0] is the return address in the caller of this function. At most 256 frames. `stack` is worth giving
// on a goroutine's stack; without it the thread's own stack is assumed, or else that the tables of running code are right.
std::size_t unwind_here(std::uintptr_t* pcs, std::size_t max, stack_bounds stack = {}) noexcept;

}  // namespace stray::profile
