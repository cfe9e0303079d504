#include "base/spin_lock.h"

#include "base/check.h"
#include "base/sync_shim.h"

namespace stray::base {

constinit std::atomic<bool> in_forked_child{false};

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
      if (round > 40 + 20'000 && in_forked_child.load())
        fatal("fork: the child uses what another thread of its parent had locked at that moment");
      nap(50'000);
    }
  }
}

}  // namespace stray::base
