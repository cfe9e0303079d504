// The scheduler: workers, maxprocs of them with a permit (permits.h), each with a run queue and a run-next slot, a global queue, stealing, sleeping.
//
// 1. A task woken or started by a running goroutine goes to that worker's run-next slot and runs when that one blocks; what was there goes to
//    the queue. After 32 such hand-overs in a row the queue gets its turn. The global queue is looked at every 64 picks, timers every 16.
// 2. Wake rule (Go's): making a task runnable wakes a sleeping worker only if no worker is searching for work already; a searching worker
//    that finds some wakes the next. So never more than one worker burns time without need.
// 3. Going to sleep: join the idle list, full fence, look at every queue once more. Making work: publish, full fence, look at the idle
//    list. One of the two sees the other.
// 4. A goroutine that blocks switches straight to the next runnable one; only without one it returns to the scheduler's own context.
// 5. Idle workers sleep on a futex; one of them (the timekeeper) until the next timer. No work, no CPU.
// 6. A goroutine that holds its worker for long, or sleeps in a system call, strands nobody: the watcher gives the queue and the permit of
//    that worker to another one (watcher.h).
// 7. A searching worker takes only what it has seen at a look 10 us before: a task in a queue, or one in a run-next slot whose worker still
//    goes on with the same goroutine. Most are run by then, where their data are; figures in decision 0032.
// 8. What spawning writes, what thieves read, and the list of the idle lie in different cache lines.
// Rejected: one shared queue (a cache miss a switch), waking on every enqueue (a futex call a hand-over), running the scheduler between any
// two goroutines (a second switch each time).
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/worker.h"

namespace stray::runtime {

struct scheduler {
  std::atomic<int> procs{0};  // maxprocs: permits in all
  std::atomic<int> made{0};   // workers that exist, [0, made)
  std::atomic<int> lent{0};   // permits of workers in a blocking section
  worker* workers = nullptr;  // hidden memory, max_workers of them
  alignas(base::cache_line) std::atomic<int> searching{0};
  std::atomic<int> idle_count{0};
  std::atomic<worker*> timekeeper{nullptr};
  std::atomic<std::uint32_t> exiting{0};  // futex; 1: workers come to rest
  std::atomic<task*> exit_task{nullptr};  // the goroutine that has called exit
  std::atomic<int> stopped_at_exit{0};
  base::spin_lock idle_lock;
  worker* idle = nullptr;
  base::spin_lock spare_lock;
  worker* spares = nullptr;          // workers that wait for a permit
  std::atomic<int> free_permits{0};  // permits that wait for a worker; written under spare_lock
  alignas(base::cache_line) base::spin_lock global_lock;
  task* global_head = nullptr;
  task* global_tail = nullptr;
  std::atomic<std::uint32_t> global_size{0};
  alignas(base::cache_line) std::atomic<std::uint64_t> next_id{1};
  std::atomic<std::uint64_t> started_outside{0};  // goroutines started by threads that are no workers
};
scheduler& sched() noexcept;

// Publishes a runnable task: to the current worker's run-next slot or queue, or to the global queue.
void enqueue(task* t, bool as_next) noexcept;

// The next task of this worker's own queues (and now and then the global one or a timer); nullptr: none.
task* pick(worker* w) noexcept;
// Makes the picked task the running one: binds a stack at its first run, stores running. Returns the sp to switch to.
std::uintptr_t enter(worker* w, task* t) noexcept;
// As enter for one without a stack, on the stack of `ended`, which the caller runs on.
void enter_in_place_of(task* ended, worker* w, task* t) noexcept;
// On the new context after a switch: completes what the previous one left.
void after_switch(worker* w) noexcept;

// A goroutine's end, by itself, with nothing of the user's left on its stack: it stops counting; then it leaves its stack.
void retire(task* t) noexcept;
[[noreturn]] void leave_for_ever(task* t);

// Records, through the worker's cache.
task* alloc_task(worker* w);
void free_task(worker* w, task* t) noexcept;

// The body of a worker thread.
void worker_main(worker* w) noexcept;
void wake_for_timer() noexcept;
void wake_one() noexcept;       // rule 2
void kick(worker* w) noexcept;  // out of any sleep, to look at its permit or the exit flag
void push_global(task* first, task* last, std::uint32_t n) noexcept;  // linked by next
bool any_work() noexcept;
bool drain(
    worker* stuck) noexcept;  // by another thread: its queue and run-next slot to the global queue; true: there was something
void forget_scheduler() noexcept;  // in the child of a fork
void yield_now(worker* w);         // of the calling goroutine; also when there is nobody to yield to

}  // namespace stray::runtime
