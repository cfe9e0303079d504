// The tier suspected: reachable, so no leak as far as can be seen, but blocked for long. It proves nothing and is only looked for when asked
// (min_tier = tier::suspected). Two kinds, each within one site, those that wait with the same stack for the same reason:
//
// 1. An outlier, far older than its peers: the request whose answer was lost while its channel still lies in a table. A task with fewer than
//    `least_peers` peers has nothing to be compared with. One that is older than `age_factor` times the median of its peers, and than the floor, is
//    suspected. The median stands as long as less than half of the peers are stuck, too.
// 2. One of a site that fills up, without healthy peers: the channel in a global that nobody reads any more. All are stuck who are older than the
//    floor and than `age_factor` times the longest wait that was ever seen to end there. They are suspected if they are `least_growth` more than all
//    that waited at the first look at the site, and that many began to wait since, not all within the time of the floor. An idle pool of
//    constant size is not: it does not grow; nor one that grew at once, or winds down after a burst; nor one whose workers wake now and then.
#pragma once

#include <cstdint>
#include <vector>

#include "leak/model/findings.h"
#include "leak/model/wait_census.h"

namespace stray::leak {

constexpr std::size_t least_peers = 4, least_growth = 3;
constexpr std::int64_t age_factor = 16;
constexpr std::int64_t usual_floor_ns = 60'000'000'000;  // where options::min_age asks for none

struct outlier {
  std::size_t index;
  std::int64_t median_ns;  // of the peers
};
// Which of the ages, of one group, stand out.
std::vector<outlier> outliers(const std::vector<std::int64_t>& ages_ns, std::int64_t floor_ns);

// Which of those that wait at one site, by the beginnings of their waits, fill it up.
std::vector<std::size_t> filling(const std::vector<std::int64_t>& since_ns, const wait_site& site, std::int64_t now_ns,
                                 std::int64_t floor_ns);

// Of all that wait now and are not in f. Stops nobody; reads one stack after the other. A look of the census; the detector's thread only.
std::vector<finding> suspects(const findings& f, std::int64_t floor_ns);

}  // namespace stray::leak
