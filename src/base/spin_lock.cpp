#include "base/spin_lock.h"

#include "base/sync_shim.h"

namespace stray::base {

void spin_lock::lock_slow() noexcept {
  for (unsigned round = 0;; round++) {
    if (held_.load(std::memory_order_relaxed) == 0 &&         // order: a hint; the exchange acquires
        held_.exchange(1, std::memory_order_acquire) == 0) {  // order: pairs with unlock's release
      return;
    }
    if (round < 8) {
      for (std::uint32_t i = 0; i < capacity(32); i++) cpu_relax();
    } else if (round < 40) {
      yield_core();
    } else {
      nap(50'000);
    }
  }
}

}  // namespace stray::base
