#include "runtime/doorbell.h"

#include "base/sync_shim.h"

namespace stray::runtime {

constinit std::atomic<std::uint32_t> watcher_awake{1};

void wake_watcher() noexcept {
  if (watcher_awake.load() != 0) return;
  watcher_awake.store(1);
  base::futex_wake(watcher_awake, 1);
}

}  // namespace stray::runtime
