// How much of the time requests may take: a share (5 % of one processor), with a second in advance for those who have not asked for a while. One
// for the process, whoever asks and however: otherwise any client could make the program look for leaks, or write dumps, without a pause.
//
// 1. Lock-free; in the child of a fork it goes on as it is.
// 2. Paid is a detection, for its whole duration, and the processor time of the threads that collect, write and send answers; not
//    what is spent on names and lines of addresses that nobody has asked for before.
// 3. It may be overdrawn by what is under way when it is used up: by what each thread that serves requests has begun. Then a thread that has
//    answered rests, so that refusals in a loop stay below the share, too.
// Any thread. Pure, but for from_environment.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace stray::serve {

class budget {
 public:
  static constexpr std::int64_t in_advance_ns = 1'000'000'000, longest_rest_ns = 1'000'000'000;

  // 100: no limit.
  explicit constexpr budget(int percent) noexcept : percent_(percent) {}

  // When the next one that costs much may begin, for the clock of base::now_ns; not later than `now_ns`: at once.
  std::int64_t next_ns() const noexcept { return percent_ >= 100 ? 0 : paid_until_.load(); }
  bool allows(std::int64_t now_ns) const noexcept { return next_ns() <= now_ns; }
  // After something that has taken so long.
  void pay(std::int64_t now_ns, std::int64_t took_ns) noexcept {
    std::int64_t before = paid_until_.load();
    while (!paid_until_.compare_exchange_weak(before, std::max(before, now_ns - time_of(in_advance_ns)) + time_of(took_ns))) {
    }
  }

  // How long one of so many threads rests after it has answered, and has paid that: not at all while there is something left.
  std::int64_t rest_ns(std::int64_t now_ns, std::int64_t took_ns, int threads) const noexcept {
    return allows(now_ns) ? 0 : std::min(time_of(took_ns) * threads, longest_rest_ns);
  }

  // STRAY_PPROF_BUDGET, in percent; read once.
  static budget& from_environment() noexcept;

 private:
  std::int64_t time_of(std::int64_t took_ns) const noexcept { return took_ns / percent_ * 100; }

  const int percent_;
  std::atomic<std::int64_t> paid_until_{0};
};

}  // namespace stray::serve
