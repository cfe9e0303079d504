// Leaks of a fleet by the line where they wait.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cli/profile.h"

namespace stray::cli {

// A line of the user's, a reason and a tier: the same in every process of a build, wherever it was built.
struct site {
  frame at;
  std::string reason, tier;
  std::int64_t count = 0, bytes = 0;
  std::int64_t blocked_since = 0;  // the oldest; 0: not known
  std::int64_t growth = 0;         // of count, against the base
  std::set<std::string> targets;
  std::vector<const leak*> leaks;  // of the profiles given

  std::string key() const;
};

// The sum of two counts, or the greatest one.
std::int64_t sum(std::int64_t a, std::int64_t b);

enum class order { count, age, bytes, growth };

// Merged over all profiles, in this order; what is in `base` counts as growth. Points into `now`.
std::vector<site> rank(const std::vector<profile>& now, const std::vector<profile>& base, order by);
// What grew, and what went (its growth is negative and its count 0; leaks point into `before`).
std::vector<site> difference(const std::vector<profile>& before, const std::vector<profile>& after);

bool matches(const site& s,
             const std::string& text);  // of its function, file:line or cause, without regard to case; empty: all

}  // namespace stray::cli
