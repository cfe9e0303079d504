// The second means of a stop: threads that a signal cannot reach (they block it, wait for it in sigwait, or do not answer), or would disturb
// (they sleep in a call that it would make return), are stopped by ptrace, from a helper process that shares our memory, since nobody may trace a thread of his own process.
//
// 1. One helper a batch. It lives from the attaching to the release; its death lets its threads run on, so ptrace_holds() is asked after the
//    clone, and a stop without its helper is void. The kernel clears `alive` before it lets go of the threads.
// 2. The helper calls nothing impure, has a stack of its own, blocks every signal, dies with the detector's thread, and gives up after the
//    same 5 s as a stopped thread's handler: then its slots are `left`.
// 3. A thread's slot goes from held_back to stopped (by the helper, its registers copied here first) or to given_up (by the caller, when the
//    time is over), by one CAS. A signal that arrived just then is handed on when the thread is let go.
// 4. Nothing of the program is changed so that it may be traced: no PR_SET_PTRACER (what was set before cannot be read, and would be lost).
//    Where the kernel says no (yama, a debugger, not dumpable, a sandbox), a reason is returned and all is as without this file.
// 5. A seccomp filter may kill who calls ptrace, and before Linux 5.16 a core dump of the helper would have killed us, too, since it shares
//    our memory. So under a filter a process with memory of its own tries the call first (prepare_ptrace; once, and again when there are
//    more filters).
// A call that ptrace interrupts restarts by itself, poll and nanosleep included, since no handler runs; epoll_wait, sigwaitinfo and
// sigtimedwait may return EINTR.
#pragma once

#include <atomic>
#include <cstdint>

#include "trace/image_types.h"
#include "trace/stop_table.h"

namespace stray::trace {

inline constexpr std::size_t ptrace_batch = 64, ptrace_batches = 8;

std::size_t ptrace_memory_bytes() noexcept;
void init_ptrace(void* memory) noexcept;  // of ptrace_memory_bytes()
void prepare_ptrace() noexcept;           // while all threads run
bool ptrace_may_do() noexcept;            // nothing is known that speaks against it
// Stops whom it can; null, or why nobody could be stopped. `released` becomes `epoch` when all may go on.
const char* ptrace_stop(slice<slot*> who, std::atomic<std::uint32_t>& released, std::uint32_t epoch,
                        std::int64_t limit_ns) noexcept;
bool ptrace_holds() noexcept;
void ptrace_end() noexcept;              // after `released` was stored and its sleepers were woken
void forget_ptrace() noexcept;           // in the child of a fork: the helpers are its parent's
bool allow_ptrace(bool allow) noexcept;  // for tests; what it was

}  // namespace stray::trace
