#include "leak/report/history.h"

#include <atomic>

#include <mutex>

#include "base/spin_lock.h"
#include "leak/model/findings.h"

namespace stray::leak {

void history::add(const findings& f) noexcept {
  runs++;
  incomplete += f.complete ? 0 : 1;
  took.add(f.elapsed);
  if (f.looks + f.stops != 0) {
    pauses.add(f.pause);
    unknown_bytes = f.unknown_bytes;
  }
  std::array<std::size_t, 4> found{};
  std::array<std::size_t, grounds_count> why{};
  for (const finding& x : f.list) {
    found[static_cast<std::size_t>(x.tier)]++;
    if (x.tier == tier::likely) why[static_cast<std::size_t>(x.reason)]++;
  }
  if (f.complete || !f.list.empty()) {
    tiers = found;
    doubts = why;
    trend.add({std::chrono::duration_cast<std::chrono::seconds>(f.taken.time_since_epoch()).count(), leaked()});
  }
  complete = f.complete;
  taken = f.taken;
}

namespace {
constinit base::spin_lock lock;
constinit history of_process;
}  // namespace

history so_far() noexcept {
  std::lock_guard hold(lock);
  return of_process;
}

void forget_history() noexcept {
  lock.free_in_child();
  of_process = {};
}

// Nobody else writes, so the findings, of which there may be a million, are counted without the lock.
void remember(const findings& f) noexcept {
  history next = of_process;
  next.add(f);
  std::lock_guard hold(lock);
  of_process = next;
}

namespace {
constinit std::atomic<std::uint64_t> reclaimed_count{0}, refused_count{0};
}

reclaim_tally reclaimed_so_far() noexcept { return {reclaimed_count.load(), refused_count.load()}; }
void count_reclaimed() noexcept { reclaimed_count.fetch_add(1); }
void count_refused(std::size_t n) noexcept { refused_count.fetch_add(n); }

}  // namespace stray::leak
