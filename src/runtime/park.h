// The only door to blocking, and the only way back.
//
// A wait, by the task itself (goroutine or OS thread):          Its wake, by ONE waker:
//   lock the primitive                                            lock the primitive
//   prepare_wait(...)   record complete, running -> parking       try_claim(node->owner)     CLAIM: before anything is changed
//   link the nodes                                                unlink the node, move the value, set fired
//   unlock the primitive                                          unlock the primitive
//   park(t)                                                       make_runnable(t)           the last touch of anything of t's
// After park the task unlinks its losing nodes under their locks and disarms its timer.
#pragma once

#include <cstdint>

#include "runtime/task.h"

namespace stray::runtime {

// By the task itself. The nodes' owner, primitive and slot are set by the caller.
void prepare_wait(task* self, wait_reason reason, wait_node* nodes, std::uint32_t count) noexcept;
// Arms the task's timer for the wait just prepared; when it fires it claims with fired == nullptr.
void arm_timer(task* self, std::int64_t when_ns) noexcept;
void disarm_timer(task* self) noexcept;

// Blocks until make_runnable. noinline, never cloned, no tail call: it is the leaf of every blocked stack.
void park(task* self);
void park_on_clear_stack(task* self);  // the same: no word of earlier calls lies in park's frames
// prepare_wait without any primitive, then park; woken only by wake_sleeper or a timer.
[[noreturn]] void park_forever(wait_reason reason);

bool try_claim(task* t) noexcept;                     // false: somebody else has claimed it
bool try_claim(task* t, std::uint64_t seq) noexcept;  // of this very wait
void make_runnable(task* t) noexcept;

// The inspector's side: while it holds the bit, a waker leaves the rest of its wake to end_inspection. `w` may be old, and the record another
// task's by now: then nothing is touched (task.h 6).
bool begin_inspection(task* t, wait_id w) noexcept;  // false: it does not wait so (any more), or somebody else inspects it
bool await_inspection(task* t, wait_id w) noexcept;  // waits for somebody else's end
void end_inspection(task* t) noexcept;
void mark_listed(task* t, wait_id w) noexcept;
void unlist(task* t, wait_id w) noexcept;  // a wake of this wait is no wrong verdict any more
std::uint64_t wrong_verdicts() noexcept;

}  // namespace stray::runtime
