// Start-up, settings, exit, and the library's own threads.
//
// 1. The runtime starts at the first go, make_chan or park, never in a static constructor. maxprocs workers and one watcher thread exist
//    from then on (and the detector's thread, started by the upcall).
// 2. Every thread of ours blocks all signals but the stop signal and SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF: a host that waits
//    for SIGTERM must get it.
// 3. At exit workers get a flag and at most 100 ms to come to rest; they are never cancelled.
#pragma once

#include <cstdint>
#include <pthread.h>

namespace stray::runtime {

std::uint8_t default_stack_class() noexcept;

// Starts a thread of ours, with the signal mask of rule 2. Throws std::system_error with a hint.
pthread_t start_thread(const char* name, void* (*body)(void*), void* arg);

bool started() noexcept;

}  // namespace stray::runtime
