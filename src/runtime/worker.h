// A worker: the OS thread that runs goroutines, and what it owns.
//
// 1. Fields up to the next comment are the worker's own; no other thread reads them, but the snapshot's child does.
// 2. Permits (permits.h) say who of the workers runs goroutines.
// 3. Its native stack never holds a user's byte: user code runs on goroutine stacks only. So it is not scanned.
#pragma once

#include <atomic>
#include <cstdint>
#include <pthread.h>

#include "runtime/run_queue.h"
#include "runtime/spare_stack.h"
#include "runtime/task.h"

namespace stray::runtime {

struct exception_globals {  // the ABI's __cxa_eh_globals
  void* caught;
  unsigned int uncaught;
};

enum class permit : std::uint8_t { none, held, lent };  // permits.h
enum class handover : std::uint8_t { nothing, parked, yielded, dead };

struct alignas(64) worker {
  task* previous = nullptr;  // switched away from; the next context on this worker completes it
  handover left = handover::nothing;
  std::uintptr_t scheduler_sp = 0;    // of the scheduler's own context while a goroutine runs
  task* running = nullptr;            // set before the switch to it
  std::atomic<task*> bound{nullptr};  // the goroutine that is locked to this thread; read by the watcher
  base::range native;                 // its own thread's stack, below the frame of its function
  base::range alternate;              // what signal handlers run on that ask for it
  exception_globals* exceptions = nullptr;
  std::uint32_t next_streak = 0;  // run_next taken this often in a row
  std::uint64_t random = 0;
  task* free_tasks = nullptr;  // cache of records
  spare_stack spare;
  std::uint32_t free_count = 0;
  void* fiber = nullptr;   // ThreadSanitizer's
  bool searching = false;  // counted in scheduler's searching
  pthread_t thread{};
  const void* fault_context = nullptr;  // ucontext_t of a fatal signal, for the dump
  int number = 0;

  alignas(64) std::atomic<task*> run_next{nullptr};  // woken by the running task; written by the owner, taken by thieves late
  std::atomic<std::uint32_t> tick{0};                // tasks started or resumed; written by the owner
  std::atomic<runtime::permit> permit{runtime::permit::none};
  std::atomic<std::uint32_t> wake{0};     // futex: see below
  std::atomic<std::uint32_t> granted{0};  // futex of a worker without a permit: look at permit and handed
  std::atomic<task*> handed{nullptr};     // its locked goroutine, runnable
  std::atomic<bool> asleep{false};        // idle, spare or waiting for its locked goroutine
  std::atomic<int> tid{0};
  std::atomic<std::uint64_t> started{0}, finished{0};  // goroutines; written by the owner
  worker* idle_next = nullptr;                         // idle list or spares; guarded by that list's lock
  run_queue queue;
};

// worker::wake: a waker first takes the worker out of the idle list, then writes woken or woken_to_search (it is then counted as searching
// already); kicked is written over 0 only, by who has not.
inline constexpr std::uint32_t kicked = 1, woken = 2, woken_to_search = 3;

inline constexpr int max_procs = 256, max_workers = 1280;  // the rest: in blocking calls, stuck, or locked to a goroutine

}  // namespace stray::runtime
