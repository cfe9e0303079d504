// What the detector needs of the runtime that it lives in: a start, threads of its own, and a caller that waits for an answer.
#pragma once

#include <cstdint>
#include <pthread.h>

namespace stray::runtime {
struct task;
}

namespace stray::leak {

bool runtime_runs() noexcept;
void start_runtime();  // idempotent
// With the library's signal mask. Throws std::system_error with a hint.
pthread_t start_service_thread(const char* name, void* (*body)(void*));
// The calling thread is the detector's from now on: it acts on request only, so it is none that could end a deadlock of the whole process,
// and it leads to nothing of the user's.
void become_detector_thread();
int detector_tid() noexcept;             // 0: not yet
void forget_detector_thread() noexcept;  // in the child of a fork

// The clock of timers: monotonic, or a test's own.
std::int64_t clock_of_timers_ns() noexcept;
std::int64_t after_on_clock_of_timers_ns(std::int64_t ns) noexcept;  // without overflow

// The calling goroutine or OS thread while it waits for the detector, for an internal reason: it is never a candidate.
class asker {
 public:
  asker();  // the caller; starts the runtime
  // The caller first says that it is going to wait, then publishes its request, then waits. answer may come in between.
  void prepare() noexcept;
  void wait();
  // By the detector's thread, once. This object may be gone when it returns.
  void answer() noexcept;
  int tid() const noexcept;  // of an OS thread; 0: a goroutine

 private:
  runtime::task* self_;
};

}  // namespace stray::leak
