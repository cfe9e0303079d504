// Start-up, settings, exit, and the library's own threads.
//
// 1. The runtime starts at the first go, make_chan or park, never in a static constructor. maxprocs workers and one watcher thread exist
//    from then on (and the detector's thread, started by the upcall).
// 2. Every thread of ours blocks all signals but the stop signal and SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF: a host that waits
//    for SIGTERM must get it.
// 3. At exit, before the destructors of statics that are older than the runtime, workers get a flag and at most 100 ms to come to rest; they
//    are never cancelled. While such a destructor waits in a primitive, they run again: it may wait for goroutines to end. (If it was a
//    goroutine that called exit, they then go on.)
#pragma once

#include <atomic>
#include <cstdint>
#include <pthread.h>

namespace stray::runtime {

std::uint8_t default_stack_class() noexcept;

// Starts a thread of ours, with the signal mask of rule 2. Throws std::system_error with a hint.
pthread_t start_thread(const char* name, void* (*body)(void*), void* arg);

// Threads that lead to nothing of the user's: neither their stacks nor their thread-local storage are roots. For those of our servers; not for
// one that holds a handle, an owner or a callback of the user's. A thread beyond `most` counts as any other thread does.
struct service_threads {
  static constexpr int most = 64;
  std::atomic<int> tid[most];  // 0: free; written by the thread itself
};
const service_threads& services() noexcept;
// The calling thread is one while this exists.
class service_thread {
 public:
  service_thread() noexcept;
  ~service_thread();
  service_thread(const service_thread&) = delete;
  service_thread& operator=(const service_thread&) = delete;

 private:
  std::atomic<int>* slot_ = nullptr;
};

bool started() noexcept;

void resume_goroutines() noexcept;  // rule 3
// Around a wait of an OS thread.
class goroutines_in_exit {
 public:
  goroutines_in_exit() noexcept;
  ~goroutines_in_exit();
  goroutines_in_exit(const goroutines_in_exit&) = delete;
  goroutines_in_exit& operator=(const goroutines_in_exit&) = delete;

 private:
  bool resumed_;
};

}  // namespace stray::runtime
