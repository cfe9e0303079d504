#include "base/format.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace stray::base {

std::string format_value::plain(std::string_view how) const {
  const bool hex = how.ends_with('x');
  char digits[400];  // the longest double without exponent has 309 and its fraction
  int n = 0;
  switch (kind_) {
    case kind::text:
      return std::string(text_);
    case kind::character:
      return std::string(1, static_cast<char>(bits_));
    case kind::integer:
    case kind::natural:
      n = hex                      ? std::snprintf(digits, sizeof digits, "%llx", static_cast<unsigned long long>(bits_))
          : kind_ == kind::natural ? std::snprintf(digits, sizeof digits, "%llu", static_cast<unsigned long long>(bits_))
                                   : std::snprintf(digits, sizeof digits, "%lld", static_cast<long long>(bits_));
      break;
    case kind::real: {
      std::size_t point = how.find('.');
      int places = point != how.npos ? std::atoi(how.data() + point + 1) : -1;
      n = places >= 0 ? std::snprintf(digits, sizeof digits, "%.*f", std::min(places, 60), real_)
                      : std::snprintf(digits, sizeof digits, "%g", real_);
      break;
    }
  }
  return {digits, static_cast<std::size_t>(std::max(n, 0))};
}

void format_value::put(std::string& to, std::string_view how) const {
  std::string body = plain(how);
  if (how.starts_with('#')) {
    how.remove_prefix(1);
    to += "0x";
  }
  const bool zeros = how.starts_with('0');
  std::size_t width = 0;
  for (; !how.empty() && how[0] >= '0' && how[0] <= '9'; how.remove_prefix(1))
    width = width * 10 + static_cast<std::size_t>(how[0] - '0');
  const std::size_t missing = width > body.size() ? width - body.size() : 0;
  const bool left = kind_ == kind::text || kind_ == kind::character;
  if (!left) to.append(missing, zeros ? '0' : ' ');
  to += body;
  if (left) to.append(missing, ' ');
}

void format_values(std::string& to, std::string_view pattern, const format_value* values) {
  while (!pattern.empty()) {
    std::size_t brace = std::min(pattern.find_first_of("{}"), pattern.size());
    to += pattern.substr(0, brace);
    pattern.remove_prefix(brace);
    if (pattern.empty()) return;
    if (pattern.size() > 1 && pattern[1] == pattern[0]) {
      to += pattern[0];
      pattern.remove_prefix(2);
      continue;
    }
    std::size_t end = pattern.find('}');
    if (end == pattern.npos) return;
    std::string_view how = pattern.substr(1, end - 1);
    if (how.starts_with(':')) how.remove_prefix(1);
    (values++)->put(to, how);
    pattern.remove_prefix(end + 1);
  }
}

}  // namespace stray::base
