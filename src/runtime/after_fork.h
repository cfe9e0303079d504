// The child of a fork: one thread, and a copy of all our memory in the state in which other threads happened to be.
//
// 1. The child gets a runtime that starts afresh at its first use: no goroutine, no timer and no thread of the parent's. What lies in memory
//    stays: channels with their values, locks that the forking thread holds, subscriptions of on_leak, servers.
// 2. The handler of pthread_atfork does next to nothing, so fork and exec cost what they cost without us: it forgets who runs on this thread
//    and sets the phase `forked`. Whatever needs a record or a thread of ours comes to ensure_started, which starts afresh.
// 3. Waiters of the parent's are still linked in their queues. Their records become `dead` before the first claim in the child fails on
//    them, and are never given to another task, so the links to them do no harm.
// 4. The forking thread keeps its record (make_thread_task): the locks that it holds are its own in the child, too. Who forked in a goroutine
//    is an OS thread from then on, on the goroutine's stack; when its function returns the child ends as at the end of main. So it does
//    when an OS thread forked and its function returns: glibc ends a process with its last thread, and ours are left. (A key of pthread:
//    its destructor comes after those of thread_locals. Not of main: a process goes on without it that has called pthread_exit.)
// 5. A lock of one channel, timer or context that a thread held which is not here is held for ever: after two seconds of waiting for it
//    the child ends with a line that says so (base/spin_lock.cpp). Locks of ours as a whole are freed.
// 6. glibc leaves the dynamic linker's lock as it is: base/modules.h keeps forks out while we hold it.
// vfork, posix_spawn and clone by hand run no such handler, and need none before their exec.
// Rejected: to do (3) in the handler: every page of the records would be copied for a child that is about to call exec (10^5 goroutines: 45 MB).
#pragma once

namespace stray::runtime {

[[noreturn]] void end_of_forking_goroutine() noexcept;
void watch_end_of_forking_thread() noexcept;  // before any fork: makes the key
void note_forking_thread() noexcept;          // in the handler, whether or not the runtime has started

}  // namespace stray::runtime
