// Pieces that the two text formats share.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "profile/sample.h"
#include "profile/symbolize.h"

namespace stray::profile {

// {"key"<colon>"value", ...}, quoted as base::quoted does, sorted.
std::string label_set(const std::vector<label>& labels, std::string_view colon);
// "FILE:LINE", or "??:0".
std::string position(const source_line& line);
// "incomplete: REASON" and "likely: N, not proven: DOUBT", on one line each whatever they contain.
std::vector<std::string> comment_lines(std::span<const std::string> incomplete, std::span<const std::string> likely);
// The same as lines of a text.
std::string comments(std::span<const std::string> incomplete, std::span<const std::string> likely);

}  // namespace stray::profile
