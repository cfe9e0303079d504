// Text from a pattern and values, for reports and pages: "{}" is the next value.
//
// A field may carry a width and a kind: {:5} at least five wide (numbers to the right, text to the left), {:x} hexadecimal, {:#x} with 0x,
// {:02x} filled with zeros, {:.3f} digits after the point. "{{" is a brace. The number of fields is checked at compile time, the kinds are
// not: a kind that does not fit its value is ignored.
//
// Rejected: fmt. Its inline functions become weak symbols of a static libstray, and the linker may give a program that brings another build
// of it ours, or ours the program's. std::format is not in libstdc++ 12.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace stray::base {

// One value; text must outlive the call.
class format_value {
 public:
  template <class T>
  format_value(const T& value) noexcept {  // NOLINT(google-explicit-constructor): any value is one
    if constexpr (std::same_as<T, char>) {
      kind_ = kind::character, bits_ = static_cast<unsigned char>(value);
    } else if constexpr (std::floating_point<T>) {
      kind_ = kind::real, real_ = static_cast<double>(value);
    } else if constexpr (std::integral<T>) {
      kind_ = std::is_signed_v<T> ? kind::integer : kind::natural;
      bits_ = static_cast<std::uint64_t>(value);
    } else {
      kind_ = kind::text, text_ = std::string_view(value);
    }
  }
  void put(std::string& to, std::string_view how) const;

 private:
  enum class kind : unsigned char { text, character, integer, natural, real };
  std::string plain(std::string_view how) const;

  kind kind_;
  std::uint64_t bits_ = 0;
  double real_ = 0;
  std::string_view text_;
};

constexpr std::size_t format_fields(std::string_view pattern) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < pattern.size(); i++) {
    if (pattern[i] != '{' && pattern[i] != '}') continue;
    if (i + 1 < pattern.size() && pattern[i + 1] == pattern[i]) {
      i++;
    } else {
      n += pattern[i] == '{';
    }
  }
  return n;
}

// A literal with as many fields as there are values.
template <std::size_t Values>
struct format_pattern {
  template <std::size_t N>
  consteval format_pattern(const char (&literal)[N])
      : text(literal, N - 1) {  // NOLINT(google-explicit-constructor): a literal is one
    if (format_fields(text) != Values) throw "the pattern has another number of fields than there are values";
  }
  std::string_view text;
};

void format_values(std::string& to, std::string_view pattern, const format_value* values);

template <class... Args>
void format_to(std::string& to, std::type_identity_t<format_pattern<sizeof...(Args)>> pattern, const Args&... args) {
  const format_value values[] = {args..., 0};
  format_values(to, pattern.text, values);
}
template <class... Args>
std::string format(std::type_identity_t<format_pattern<sizeof...(Args)>> pattern, const Args&... args) {
  std::string out;
  format_to(out, pattern, args...);
  return out;
}

// An address: 0x1f; 0 has no prefix.
inline std::string hex(std::uint64_t n) { return n == 0 ? "0" : format("{:#x}", n); }

}  // namespace stray::base
