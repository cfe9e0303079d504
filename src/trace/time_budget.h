// How long a loop may go on while threads are stopped: so much of the calling thread's own time. On a busy machine the time of others does
// not count: a budget by the wall clock made 1 in 400 detections there incomplete. By the wall clock it ends after `most_wall` times as much.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>

#include "base/clock.h"
#include "base/syscalls.h"

namespace stray::trace {

class time_budget {
 public:
  explicit time_budget(std::int64_t ns) noexcept : left_(ns), wall_left_(most_wall * ns) { go_on(); }
  // Cheap (one look at the clock) until as much has passed by the wall clock.
  bool spent() noexcept {
    if (left_ > 0 && base::now_ns() - wall_ < left_) return false;
    stop();
    go_on();
    return left_ <= 0 || wall_left_ <= 0;
  }
  // What happens between these two does not count.
  void stop() noexcept {
    std::int64_t wall = base::now_ns() - wall_;
    wall_left_ -= wall;
    left_ -= std::min(wall, cpu_ns() - cpu_);
  }
  void go_on() noexcept {
    wall_ = base::now_ns();
    cpu_ = cpu_ns();
  }

 private:
  static constexpr std::int64_t most_wall = 5;
  static std::int64_t cpu_ns() noexcept {
    timespec t{};
    base::sys::call(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, base::sys::arg(&t));
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
  }
  std::int64_t left_, wall_left_, wall_ = 0, cpu_ = 0;
};

}  // namespace stray::trace
