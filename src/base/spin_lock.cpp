#include "base/spin_lock.h"

#include <ctime>

#include "base/syscalls.h"

namespace stray::base {

void spin_lock::lock_slow() noexcept {
  for (unsigned round = 0;; round++) {
    if (held_.load(std::memory_order_relaxed) == 0 &&         // order: a hint; the exchange acquires
        held_.exchange(1, std::memory_order_acquire) == 0) {  // order: pairs with unlock's release
      return;
    }
    if (round < 64) {
      cpu_relax();
    } else if (round < 96) {
      sys::call(SYS_sched_yield);
    } else {
      timespec nap{0, 50'000};
      sys::call(SYS_nanosleep, sys::arg(&nap), 0);
    }
  }
}

}  // namespace stray::base
