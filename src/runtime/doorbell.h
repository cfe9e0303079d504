// Wakes the watcher when there is work that nobody else would see to. Below all that may ring.
#pragma once

#include <atomic>
#include <cstdint>

namespace stray::runtime {

extern constinit std::atomic<std::uint32_t> watcher_awake;  // futex: 0 while the watcher sleeps without a time limit

void wake_watcher() noexcept;  // cheap when it is awake

}  // namespace stray::runtime
