// The library's own threads.
//
// 1. Every thread of ours blocks all signals but the stop signal and SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF: a host that waits for
//    SIGTERM must get it.
#pragma once

#include <atomic>
#include <pthread.h>

namespace stray::runtime {

// Starts a thread of ours, with the signal mask of rule 1. Throws std::system_error with a hint.
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
void forget_services() noexcept;  // in the child of a fork: their numbers may be given to the child's own threads

}  // namespace stray::runtime
