// The tier suspected: reachable, so no leak as far as can be seen, but blocked for far longer than its peers, those that wait with the same
// stack for the same reason. It proves nothing and is only looked for when asked (min_tier = tier::suspected): the request whose answer was
// lost while its channel still lies in a table.
//
// A task with fewer than `least_peers` peers has nothing to be compared with. One that is older than `factor` times the median of its peers,
// and than the floor, is suspected. The median stands as long as less than half of the peers are stuck, too.
#pragma once

#include <cstdint>
#include <vector>

#include "leak/findings.h"

namespace stray::leak {

constexpr std::size_t least_peers = 4;
constexpr std::int64_t age_factor = 16;
constexpr std::int64_t usual_floor_ns = 60'000'000'000;  // where options::min_age asks for none

struct outlier {
  std::size_t index;
  std::int64_t median_ns;  // of the peers
};
// Which of the ages, of one group, stand out.
std::vector<outlier> outliers(const std::vector<std::int64_t>& ages_ns, std::int64_t floor_ns);

// Of all that wait now and are not in f. Stops nobody; reads one stack after the other.
std::vector<finding> suspects(const findings& f, std::int64_t floor_ns);

}  // namespace stray::leak
