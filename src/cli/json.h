// What the tool's JSON has in common.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cli/profile.h"

namespace stray::cli {

inline nlohmann::ordered_json of_frame(const frame& f) {
  return {{"function", f.function}, {"file", f.file}, {"line", f.line}};
}

// ASCII only: also DEL, C1 and what turns text around is escaped, for JSON may be read on a terminal. Bytes of a label or a name that are no UTF-8
// are replaced.
inline std::string dump(const nlohmann::ordered_json& j) {
  return j.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace stray::cli
