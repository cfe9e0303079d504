// What is due when: a 4-ary heap of {deadline, entry}, in hidden memory, under one lock.
//
// 1. An entry is a task's timed wait (in its record, at most one a task) or a callback (`fire`, in an ordinary heap block of its owner).
//    entry.place is its position, 0 when not armed; heap and place change under the lock.
// 2. A wait that is over claims its task (of that very wait, by seq) under the lock and makes it runnable after; so disarm_timer, which
//    takes the lock, returns only when the timer will not touch the task any more.
// 3. A callback is popped under the lock (due = seq) and run without it, by whoever runs timers: a worker between two goroutines, an idle
//    one, the watcher, a thread in park. It must not block, allocate, throw or run user code. It fires iff take_due says so: stop_callback
//    may have come first. Owners serialise take_due, stop_callback and what must not be seen after a stop with a lock of their own,
//    which is taken before the heap's.
// 4. Whoever armed a callback holds a reference to its block for it; the callback gets that reference, fired or not.
// 5. For the snapshot: at every instant each armed callback is in a slot of the heap or in `moving`, and each popped one in a batch until
//    its callback has returned (roots; leak/goroutines/fill.cpp). Stale slots may name freed blocks: they are taken as addresses only.
// 6. Time is CLOCK_MONOTONIC, or a fake clock's: then next_deadline is no_deadline for everybody, and only advance fires.
// Rejected: numbers in the heap and a dense table number -> place, so that a sift does not write into the entries: 10^6 timers cost 205 ns to
// make instead of 145, 430 to fire instead of 400, and 10^5 sleeping goroutines the same. One heap a worker: of the 2.4 us of CPU that each of
// these goroutines costs the heap has 4 %, the rest are cold stacks.
#pragma once

#include <cstdint>
#include <limits>

#include "base/sync_shim.h"
#include "runtime/task.h"

namespace stray::runtime {

inline constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

std::int64_t next_deadline() noexcept;          // of the earliest timer; no_deadline: none
bool timers_at_rest() noexcept;                 // none pending, none firing
bool run_timers(std::int64_t now_ns) noexcept;  // fires what is due; true: something became runnable

// The clock that deadlines are made of.
std::int64_t timer_now_ns() noexcept;
std::int64_t timer_after_ns(std::int64_t ns) noexcept;  // that long from now, without overflow
// For one who sleeps on a futex until when_ns; no_deadline: only advance will wake it.
std::int64_t time_left(std::int64_t when_ns) noexcept;

void forget_timers() noexcept;  // in the child of a fork

// --- callbacks ----------------------------------------------------------------------------------------------------------------------
// The entry is not armed. true: it is the earliest, and wake_for_timer must be called once no lock is held.
bool arm_callback(timer_entry* e, std::int64_t when_ns) noexcept;
enum class stopped : std::uint8_t {
  idle,       // it was not pending
  removed,    // it was in the heap: the caller has its reference now
  prevented,  // it had been popped and will not fire; the callback drops its reference by itself
};
stopped stop_callback(timer_entry* e) noexcept;
// Looks at two entries, round and round; those of this kind that `useless` (called under the heap's lock) says nobody can notice are removed
// and go to out, with their references. Returns how many. Called once an arming, it keeps about as many useless entries as others.
std::uint32_t drop_useless_callbacks(decltype(timer_entry::fire) kind, bool (*useless)(const timer_entry* e) noexcept,
                                     timer_entry* (&out)[2]) noexcept;
// By the callback, first of all: true iff this arming has not been stopped.
inline bool take_due(timer_entry* e, std::uint64_t seq) noexcept { return e->due.compare_exchange_strong(seq, 0); }

// --- fake clock ---------------------------------------------------------------------------------------------------------------------
bool begin_fake_time() noexcept;                   // false: there is one already
void end_fake_time() noexcept;                     // what is pending keeps the time that it had left
void advance_fake_time(std::int64_t ns) noexcept;  // fires what is due on the way, each at its time; one caller at a time

// A clock that costs no call to read, good to 10 ms while any worker runs.
std::int64_t coarse_now_ns() noexcept;
void touch_coarse_clock() noexcept;

// --- what the snapshot reads ----------------------------------------------------------------------------------------------------------
struct timer_slot {
  std::int64_t when_ns;
  timer_entry* entry;
};
struct firing_batch {  // in the frame of a thread that runs timers
  static constexpr std::uint32_t room = base::capacity(32);
  firing_batch* next = nullptr;
  std::atomic<timer_entry*> entry[room] = {};
};
struct timer_table {
  std::atomic<timer_slot*> slots{nullptr};  // [1, size]
  std::atomic<std::uint32_t> size{0};
  std::atomic<timer_entry*> moving{nullptr};
  std::atomic<firing_batch*> firing{nullptr};
};
const timer_table& timers() noexcept;

}  // namespace stray::runtime
