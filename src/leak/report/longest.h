// Who has been blocked longest: sites of the census for people to read, by the user's line. Not leaked as far as is known, and no verdict: idle
// workers stand here, too. What grows comes first.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace stray::leak {

class wait_census;

struct longest_row {
  std::string function;  // the innermost one of the user's, short (profile/names.h)
  std::string file;      // empty: unknown
  int line = 0;
  std::string reason;
  std::size_t count = 0;          // of the census
  std::size_t over_a_minute = 0;  // of those
  std::size_t growth = 0;         // by how many these are more than all that waited at the first look
  std::chrono::nanoseconds oldest{0};

  // "shop::receive_order orders.cpp:41". No two rows have the same and the same reason.
  std::string site() const;
};

// Sites where somebody waits, those that grow most first, then the oldest. Symbolizes.
std::vector<longest_row> longest_rows(const wait_census& census, std::size_t most);
// After a new look at all waits; the detector's thread only.
std::vector<longest_row> blocked_longest(std::size_t most);

}  // namespace stray::leak
