// A goroutine that waits is made to continue elsewhere than behind its park: so that its stack can be unwound.
//
// 1. Nothing is asked on the way of an ordinary wake: the saved context is changed, not a flag. Rejected: a flag that park reads after its
//    switch (a load and a branch each wake, for what hardly any program does).
// 2. To an unwinder, divert's f and call_above's f stand on top of the frame that the goroutine saved: its caller is park.
// 3. Only its own stack below sp is written.
#pragma once

#include "runtime/task.h"

namespace stray::runtime {

// Bytes that an unwinder and its personality routines need below sp; measured: 5 KB with libgcc 12 and lazy binding.
inline constexpr std::size_t room_to_unwind = 12 * 1024;
bool has_room_to_unwind(const task& t) noexcept;

// t is a goroutine in state claimed (claimed by the caller; it has saved its sp). When it is made runnable, it runs f(t), which must not return.
void divert(task* t, void (*f)(task*)) noexcept;

// t is a goroutine that waits and stays so (begin_inspection): calls f(arg) here, on the caller's stack.
void call_above(const task& t, void (*f)(void*), void* arg);

}  // namespace stray::runtime
