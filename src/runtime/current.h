// Who runs here: the calling thread's task and worker.
//
// Read through assembly, never through a thread_local expression: compilers keep the address of a thread_local across a call, and a
// goroutine may come back from park on another thread.
#pragma once

#include "runtime/task.h"
#include "runtime/worker.h"

namespace stray::runtime {

extern "C" {
extern constinit thread_local task* stray_tls_task __attribute__((tls_model("initial-exec")));
extern constinit thread_local worker* stray_tls_worker __attribute__((tls_model("initial-exec")));
}

inline task* current_task_or_null() noexcept { return reinterpret_cast<task*>(detail::own_record_or_null()); }
inline worker* current_worker() noexcept {  // nullptr on a thread that is not ours
  worker* w;
  asm volatile("movq stray_tls_worker@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(w));
  return w;
}
inline void set_current_task(task* t) noexcept {
  std::uintptr_t at;
  asm volatile("movq stray_tls_task@gottpoff(%%rip), %0\n\tmovq %1, %%fs:(%0)" : "=&r"(at) : "r"(t) : "memory");
}

inline void set_current_worker(worker* w) noexcept {
  std::uintptr_t at;
  asm volatile("movq stray_tls_worker@gottpoff(%%rip), %0\n\tmovq %1, %%fs:(%0)" : "=&r"(at) : "r"(w) : "memory");
}

task* make_thread_task();  // the calling OS thread gets a record; throws std::bad_alloc

// The calling goroutine or OS thread.
inline task* current_task() {
  task* t = current_task_or_null();
  return __builtin_expect(t != nullptr, 1) ? t : make_thread_task();
}

}  // namespace stray::runtime
