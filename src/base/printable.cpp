#include "base/printable.h"

#include <algorithm>
#include <cstdint>

#include "base/format.h"

namespace stray::base {

namespace {

// The length of the valid UTF-8 sequence at text[i] with its code point; 0 when the bytes are none.
std::size_t decode(std::string_view text, std::size_t i, std::uint32_t& point) {
  auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
  unsigned char first = byte(0);
  std::size_t size = first < 0x80                    ? 1
                     : first >= 0xc2 && first < 0xe0 ? 2
                     : first >= 0xe0 && first < 0xf0 ? 3
                     : first >= 0xf0 && first < 0xf5 ? 4
                                                     : 0;
  if (size == 0 || text.size() - i < size) return 0;
  point = size == 1 ? first : first & (0xffU >> (size + 1));
  for (std::size_t k = 1; k < size; ++k) {
    if ((byte(k) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(k) & 0x3fU);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  bool good = point >= least[size] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  return good ? size : 0;
}

// Acts on a terminal or on the text around it instead of being seen.
bool acts(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x61c || (point >= 0x200e && point <= 0x200f) ||
         (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

void put_escape(std::string& out, std::uint32_t point) {
  constexpr std::string_view codes = "\a\b\t\n\v\f\r", letters = "abtnvfr";
  std::size_t at = point < 0x20 ? codes.find(static_cast<char>(point)) : codes.npos;
  if (at != codes.npos)
    (out += '\\') += letters[at];
  else
    out += point < 0x80 ? format("\\x{:02x}", point) : format("\\u{:04x}", point);
}

// keeps: of what would be escaped; also: what is escaped besides.
std::string escaped(std::string_view text, std::string_view keeps, bool (*also)(std::uint32_t)) {
  std::string out;
  out.reserve(text.size() + 2);
  for (std::size_t i = 0; i < text.size();) {
    std::uint32_t point = 0;
    std::size_t size = decode(text, i, point);
    if (size == 0) {
      out += format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      size = 1;
    } else if (point == '"' || point == '\\' ? also(point) : false) {
      (out += '\\') += text[i];
    } else if ((acts(point) && keeps.find(text[i]) == keeps.npos) || also(point)) {
      put_escape(out, point);
    } else {
      out += text.substr(i, size);
    }
    i += size;
  }
  return out;
}

bool nothing(std::uint32_t) { return false; }
bool when_quoted(std::uint32_t point) { return point == '"' || point == '\\' || point == 0xa0; }

}  // namespace

std::string printable(std::string_view text) { return escaped(text, "", nothing); }

std::string printable_lines(std::string_view text) { return escaped(text, "\n\t", nothing); }

std::string quoted(std::string_view text) { return '"' + escaped(text, "", when_quoted) + '"'; }

std::string as_word(std::string_view text) {
  bool plain = !text.empty() && text.find_first_of(" =") == text.npos;
  std::string inside = plain ? escaped(text, "", when_quoted) : std::string();
  return inside == text && plain ? inside : quoted(text);
}

}  // namespace stray::base
