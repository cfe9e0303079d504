// Pieces that the two text formats share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "profile/sample.h"
#include "profile/symbolize.h"

namespace stray::profile {

// As Go's strconv.Quote for UTF-8 text: "a\tb" in quotes.
std::string quote(std::string_view text);
// {"key"<colon>"value", ...}, sorted.
std::string label_set(const std::vector<label>& labels, std::string_view colon);
// "FILE:LINE", or "??:0".
std::string position(const source_line& line);
// "incomplete: REASON", on one line whatever the reason contains.
std::string incomplete_line(std::string_view reason);

}  // namespace stray::profile
