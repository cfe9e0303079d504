// The query of a request target, as Go's url.ParseQuery reads it.
#pragma once

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace stray::serve {

// "%41+b" -> "A b"; nothing on a broken escape.
std::optional<std::string> unescape(std::string_view text, bool plus_is_space);

// A whole decimal number with an optional sign; nothing otherwise.
inline std::optional<std::int64_t> whole_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The first value of each key; pairs with a broken escape are left out.
class query {
 public:
  explicit query(std::string_view text);
  // "" when absent.
  std::string_view get(std::string_view key) const;
  // 0 when absent or no number, as Go's handlers take it.
  std::int64_t number(std::string_view key) const { return whole_number(get(key)).value_or(0); }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace stray::serve
