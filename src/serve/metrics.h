// /metrics: Prometheus' text format 0.0.4.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "leak/report/history.h"
#include "leak/report/longest.h"

namespace stray::serve {

struct measures {
  std::map<std::string_view, std::size_t> goroutines;  // by state
  leak::history leaks;
  std::uint64_t wrong_verdicts = 0;
  std::vector<leak::longest_row> longest;  // as many as there shall be series
};

// Families always stand in the same order, and are always there, but for what only a detection can know before there was one: how many are
// leaked or likely (0 would say that all is well), and when the last one was.
// Who has been blocked longest has series for the rows given: those of a place come and go.
std::string write_metrics(const measures& m);

}  // namespace stray::serve
