// What earlier calls left on a stack lies in the gaps of the frames that come after, and would hide a leak there.
#pragma once

#include <cstddef>
#include <new>

namespace stray::base {

void clear_stack_below() noexcept;                       // 4 KB below the caller's frame
void clear_bytes(void* at, std::size_t bytes) noexcept;  // also where nobody reads them any more

// What earlier calls left below the caller's frame would lie in the gaps of ours while the detector reads them, and hide a leak: padding
// alone is enough, and so is the room for the result, which lies in the caller's frame and gets its value last. So the body of a naked
// function that waits for a detection: it clears the stack before there is a frame, and goes on in `name`, which has the same parameters but
// for the first: the address of the result, and what it returns.
#define STRAY_CLEAR_STACK_AND_GO_TO(name)                                                                         \
  asm("movq %rdi, %r8\n\tleaq -4096(%rsp), %rdi\n\txorl %eax, %eax\n\tmovl $512, %ecx\n\trep stosq\n\tmovq %r8, " \
      "%rdi\n\tjmp " name)

// The body of a naked function that is going to block: it zeroes 8 + 16 * n bytes below the caller's frame, and goes on in the function of that
// symbol, which has the same parameters and is [[gnu::used]]. Its frames and park's have gaps, and what lay there stays for as long as the wait.
#define STRAY_CLEAR_BELOW_AND_GO_TO(n, symbol)                                          \
  asm("pxor %xmm0, %xmm0\n\tmovq %xmm0, -8(%rsp)\n\t.set stray_below, -24\n\t.rept " #n \
      "\n\tmovups %xmm0, stray_below(%rsp)\n\t.set stray_below, stray_below - 16\n\t.endr\n\tjmp " symbol)

// *result = f(), into room that was cleared before and holds an empty T meanwhile.
template <class T, class F>
T* into_cleared(T* result, F f) {
  clear_bytes(result, sizeof *result);
  new (result) T;
  try {
    *result = f();
  } catch (...) {
    result->~T();
    throw;
  }
  return result;
}

}  // namespace stray::base
