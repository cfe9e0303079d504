// When the background watch looks next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace stray::leak {

// The earliest time of the next look, when the last one began at `began_ns` and cost `spent_ns`: at most `share` of the time may go there.
constexpr std::int64_t earliest_next_ns(std::int64_t began_ns, std::int64_t spent_ns, double share) noexcept {
  double wait = static_cast<double>(std::max<std::int64_t>(spent_ns, 0)) / share;
  double most = static_cast<double>(std::numeric_limits<std::int64_t>::max() / 2 - began_ns);
  return began_ns + static_cast<std::int64_t>(std::min(wait, most));
}

// In the child of a fork, as the runtime starts afresh there, and after it has: its subscriptions go on.
void forget_watch() noexcept;
void restart_watch() noexcept;

bool watch_runs() noexcept;  // its thread exists

}  // namespace stray::leak
