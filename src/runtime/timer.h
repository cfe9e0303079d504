// Pending timed waits: a 4-ary heap of {deadline, task}, in hidden memory, under one lock.
//
// 1. A task has at most one timer; timer.place is its position, 0 when not armed; both change under the lock.
// 2. A timer that fires claims its task (of that very wait, by seq) under the lock and makes it runnable after; so disarm, which takes
//    the lock, returns only when the timer will not touch the task any more.
#pragma once

#include <cstdint>
#include <limits>

namespace stray::runtime {

inline constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

std::int64_t next_deadline() noexcept;  // of the earliest timer; no_deadline: none
inline bool timers_at_rest() noexcept { return next_deadline() == no_deadline; }
bool run_timers(std::int64_t now_ns) noexcept;  // fires what is due; true: something became runnable

// A clock that costs no call to read, good to 10 ms while any worker runs.
std::int64_t coarse_now_ns() noexcept;
void touch_coarse_clock() noexcept;

}  // namespace stray::runtime
