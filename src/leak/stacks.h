// Reads the stack of a blocked task in this process, behind the inspecting bit: it cannot run away meanwhile.
#pragma once

#include <cstdint>
#include <new>
#include <vector>

#include "base/address_space.h"
#include "base/stale_words.h"
#include "profile/sample.h"
#include "runtime/task.h"

namespace stray::leak {

inline constexpr std::size_t usual_depth = 128;  // frames

// Where the stacks of OS threads end: the process' mappings, read when first needed, and again for who has begun to wait since then, whose
// stack may be a newer one at the same place. One for a whole collection: the list is as long as there are threads.
class thread_stacks {
 public:
  std::uintptr_t end_of(std::uintptr_t sp, std::int64_t waits_since_ns);  // sp: nobody's

 private:
  std::vector<base::range> all_;  // sorted
  std::int64_t read_ns_ = 0;      // 0: never
};

// Return addresses, leaf (park) first. The task must be in state waiting and stay so (begin_inspection).
std::vector<std::uintptr_t> read_stack(const runtime::task& t, thread_stacks& threads, std::size_t most = usual_depth);
std::vector<std::uintptr_t> read_stack(const runtime::task& t, std::size_t most = usual_depth);
// As above.
std::vector<profile::label> read_labels(const runtime::task& t);
// Of the calling goroutine or thread; of a faulting goroutine from its saved context.
std::vector<std::uintptr_t> own_stack();

// What earlier calls left below the caller's frame would lie in the gaps of ours while the detector reads them, and hide a leak: padding
// alone is enough, and so is the room for the result, which lies in the caller's frame and gets its value last. So the body of a naked
// function that waits for a detection: it clears the stack before there is a frame, and goes on in `name`, which has the same parameters but
// for the first: the address of the result, and what it returns.
#define STRAY_CLEAR_STACK_AND_GO_TO(name)                                                                         \
  asm("movq %rdi, %r8\n\tleaq -4096(%rsp), %rdi\n\txorl %eax, %eax\n\tmovl $512, %ecx\n\trep stosq\n\tmovq %r8, " \
      "%rdi\n\tjmp " name)

// *result = f(), into room that was cleared before and holds an empty T meanwhile.
template <class T, class F>
T* into_cleared(T* result, F f) {
  base::clear_bytes(result, sizeof *result);
  new (result) T;
  try {
    *result = f();
  } catch (...) {
    result->~T();
    throw;
  }
  return result;
}

}  // namespace stray::leak
