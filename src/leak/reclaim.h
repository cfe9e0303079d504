// Unwinds goroutines that have leaked (reclaim.cpp), and what that has done in this process, for the notes of later reports.
#pragma once

#include <cstdint>

#include <stray/leak.hpp>

namespace stray::leak {

reclaim_report reclaim_now(const report& r, const reclaim_options& o);

struct reclaim_tally {
  std::uint64_t reclaimed = 0,
                refused = 0;  // goroutines that were unwound and have ended; refusals, the same goroutine each time
};
reclaim_tally reclaimed_so_far() noexcept;

}  // namespace stray::leak
