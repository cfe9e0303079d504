// /debug/stray/longest: who has been blocked longest, for `stray top --longest` and for awk.
#pragma once

#include <string>
#include <vector>

#include "leak/report/longest.h"

namespace stray::serve {

inline constexpr std::size_t most_longest_series = 20, most_longest_rows = 20,
                             most_longest_lines = 200;  // /metrics, page, this

// A line of names, then one for each row: count, over_a_minute, growth, oldest_s, reason, function, file, line; tabs between them.
std::string write_longest(const std::vector<leak::longest_row>& rows);

}  // namespace stray::serve
