// Labels and positions as both text formats write them. Pure: runs anywhere.
#include <algorithm>

#include "base/printable.h"
#include "profile/text.h"

namespace stray::profile {

std::string label_set(const std::vector<label>& labels, std::string_view colon) {
  std::vector<std::string> pairs;
  for (const label& l : labels) pairs.push_back(base::quoted(l.key).append(colon).append(base::quoted(l.value)));
  std::sort(pairs.begin(), pairs.end());
  std::string out = "{";
  for (const std::string& pair : pairs) out.append(out.size() > 1 ? ", " : "").append(pair);
  return out.append("}");
}

std::vector<std::string> comment_lines(std::span<const std::string> incomplete, std::span<const std::string> likely) {
  std::vector<std::string> out;
  auto add = [&](std::string_view what, const std::string& text) {
    out.emplace_back(what).append(base::printable(text));  // a thread may have any name
  };
  for (const std::string& reason : incomplete) add("incomplete: ", reason);
  for (const std::string& doubt : likely) add("likely: ", doubt);
  return out;
}

std::string comments(std::span<const std::string> incomplete, std::span<const std::string> likely) {
  std::string out;
  for (const std::string& line : comment_lines(incomplete, likely)) out.append("# ").append(line) += '\n';
  return out;
}

std::string position(const source_line& line) {
  if (line.file.empty()) return "??:0";
  return (base::printable(line.file) + ':').append(std::to_string(line.line));
}

}  // namespace stray::profile
