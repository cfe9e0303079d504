// Lists the roots of the frozen process: every place where a pointer may lie that keeps something alive.
//
// 1. Every private page with data of its own is a root, whatever its protection, unless it is claimed (walked heap, malloc's state),
//    the client's `interest`, ours, or the stack of a thread: a place that nobody has thought of is a root, not a hole.
// 2. A thread's native stack counts from sp up; its TLS and TCB always. What a thread is (idle, busy, parked, ours) the client says.
// 3. A thread asleep in a system call of libc has its callee-saved registers and its frames as ambiguous roots: what it left there may be
//    stale. The frames' own bytes are live memory.
// 4. A thread whose sp lies outside its own stack (fibers of the user's own) has its whole native stack as a root, and so has the mapping
//    that holds sp (or the block: sp itself is a register).
// 5. What the kernel holds (pipes, unix sockets, epoll data, timers) has been copied in the pause: kernel_words.h.
// 6. A thread that was only looked at counts as if stopped, without registers; of one that did not sleep only TLS and TCB are roots.
// 7. A signal frame above sp makes any thread a running one, whatever the client says of it (asleep, idle, blocked in a primitive, asking):
//    the handler's only copies may lie in registers that a call would not keep.
// 8. Pages that cannot be read are made readable in the child's own copy; device mappings are never touched.
// Each rule has an ablation test (roots_test.cpp). Pure; runs in the snapshot.
#pragma once

#include "trace/heap_source.h"
#include "trace/image.h"
#include "trace/pause_copy.h"
#include "trace/thread_layout.h"

namespace stray::trace {

// Fills in.roots; needs in.map, in.pages, in.threads, in.ours, in.claimed, in.saved.
void find_roots(image& in, const thread_layout& layout, const native_stacks& stacks, const pause_copy& pause,
                std::uintptr_t caller_fs) noexcept;

}  // namespace stray::trace
