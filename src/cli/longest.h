// Who has been blocked longest, as /debug/stray/longest says: no leaks as far as is known, so never among them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "cli/print.h"
#include "cli/profile.h"

namespace stray::cli {

struct waiting_site {
  frame at;
  std::string reason;
  std::int64_t count = 0, over_a_minute = 0;
  std::int64_t growth = 0;    // since that process was first looked at
  std::int64_t oldest_s = 0;  // seconds
  std::set<std::string> targets;
};

// Throws std::runtime_error that says what is wrong with the text.
std::vector<waiting_site> read_longest(const std::string& text, const std::string& target);
// Over all processes; those that grow most first, then the oldest.
std::vector<waiting_site> merged(const std::vector<std::vector<waiting_site>>& all);

std::string longest_table(const std::vector<waiting_site>& sites, std::size_t most, const style& s);
std::string longest_json(const std::vector<waiting_site>& sites);

}  // namespace stray::cli
