// Switching stacks. Only callee-saved registers and the stack pointer are kept (System V ABI); the caller sees an ordinary call.
//
// 1. saved_frame is what stray_switch_context pushes; it lies at task::sp of every task that does not run, so stack readers find registers there.
// 2. Exception state is swapped by the caller (park.cpp): it lies on the switching goroutine's own stack, where the tracer sees it.
// 3. mxcsr and the x87 control word are not kept: a rounding mode belongs to the worker thread. Documented.
// 4. Registers that a call need not keep are cleared on the way, vectors of any width too: what one goroutine left in xmm9 would count as a
//    pointer of the next one that runs there, and hid 66 of 2,100 leaks (1 ns of a switch; a detector that ignored vector registers of
//    running goroutines would miss what vectorised code holds).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/arch.h"

namespace stray::runtime {

struct saved_frame {
  std::uintptr_t r15, r14, r13, r12, rbx, rbp, pc;
};

// A blocked OS thread's task::sp points to one of these instead.
struct thread_frame {
  saved_frame registers;
  std::uintptr_t sp;
};

struct task;
extern "C" {
[[gnu::visibility("hidden")]] extern unsigned char stray_vectors;  // which vector registers a switch clears; context_x86_64.S
// Saves the caller's frame, stores its address in *save, continues the frame at `to`. Returns when somebody switches back. Not noexcept: a
// goroutine that was diverted (divert.h) is unwound from here.
void stray_switch_context(std::uintptr_t* save, std::uintptr_t to);
// Stores the caller's callee-saved registers, stack pointer and return address: what a switch would have saved.
void stray_capture_context(saved_frame* frame, std::uintptr_t* sp) noexcept;
// divert.h: calls f(arg) so that an unwinder that starts in f goes on to the frame saved at `frame`; then returns to its caller.
void stray_call_above(const saved_frame* frame, void (*f)(void*), void* arg);
// Where a diverted goroutine continues: calls stray_diverted_main(rbx, r12) on top of the saved_frame at rsp.
[[gnu::visibility("hidden")]] void stray_diverted() noexcept;
[[noreturn, gnu::visibility("hidden")]] void stray_diverted_main(task* t, void (*f)(task*));
}
// The return address of a fresh stack: cleans what lies below itself, calls goroutine_main(rbx), and does both again with what that returns.
// Ends the call frame information. Gaps in the frames of a goroutine would else show what the last one on this stack has left, and a stale
// pointer there makes a block look like the waiter's own: wrong verdicts in 6 of 100 runs of tests/healthy/pointer_in_xor_orphan.cpp.
// Rejected: rep stos, 40 ns instead of 15.
[[gnu::visibility("hidden")]] void goroutine_entry() noexcept;
extern "C" [[gnu::visibility("hidden")]] const unsigned char stray_entry_end[];  // behind it
inline constexpr std::size_t entry_cleans = 2048;                                // bytes
// Runs t to its end. Returns who is next on this stack; not at all if that is nobody.
[[gnu::visibility("hidden")]] task* goroutine_main(task* t);

// Prepares a fresh stack so that switching to the result enters goroutine_main(t).
inline std::uintptr_t prepare_stack(std::uintptr_t stack_hi, task* t) noexcept {
  // After the entry is returned to, rsp is stack_hi - 16: 16-byte aligned, as a caller must have it.
  auto* frame = reinterpret_cast<saved_frame*>(stack_hi - 72);
  static_assert(sizeof(saved_frame) == 56);
  *frame = {};
  frame->rbx = reinterpret_cast<std::uintptr_t>(t);
  frame->pc = reinterpret_cast<std::uintptr_t>(&goroutine_entry);
  return reinterpret_cast<std::uintptr_t>(frame);
}

}  // namespace stray::runtime
