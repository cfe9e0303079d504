// The watcher thread: what nobody else has time for. It wakes every 10 ms while goroutines run, and not at all while the process is idle.
//
// 1. It keeps the coarse clock, and fires timers when every worker is busy.
// 2. Stuck workers: one that sleeps in the kernel for a round, or runs one goroutine for several, while there is work and no idle worker,
//    loses its queue and its permit to another one. The more threads compute beyond maxprocs already, the longer it waits, since there
//    the threads of the kernel's scheduler do the sharing: 20 ms times (1 + how many). Two cores, 200 goroutines of 100 ms each: 24 threads.
//    An idle worker that nobody has told of that work is woken: a goroutine that yields wakes none, since its worker mostly comes back to it.
// 3. It makes the workers that free permits wait for.
// 4. After half a second of quiet it gives back the pages of unused stacks, and looks for the global deadlock.
// 5. It runs no user code, and what it fires is told by the timers' batches (timer.h 5). So the detector does not read its stack and registers:
//    what they still held of callbacks long over hid leaks (3 of 244 at the end of a churn).
// Rejected: Go's preemption by signal. A C++ frame can be interrupted, but not left, at any instruction: locks of malloc, thread_locals.
#pragma once

#include "base/sync_shim.h"

namespace stray::runtime {

void make_workers(int n);  // until there are n; throws std::system_error with a hint
void start_watcher();
int watcher_tid() noexcept;      // 0: not there yet
void forget_watcher() noexcept;  // in the child of a fork

}  // namespace stray::runtime
