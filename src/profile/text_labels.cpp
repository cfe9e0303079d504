// Labels and positions as both text formats write them. Pure: runs anywhere.
#include <algorithm>

#include "base/format.h"
#include "profile/text.h"

namespace stray::profile {

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

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    char c = text[i];
    std::uint32_t point = 0;
    std::size_t size = decode(text, i, point);
    if (size == 0) {
      out += base::format("\\x{:02x}", static_cast<unsigned char>(c));
      size = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\a') {
      out += "\\a";
    } else if (c == '\b') {
      out += "\\b";
    } else if (c == '\f') {
      out += "\\f";
    } else if (c == '\v') {
      out += "\\v";
    } else if (point < 0x20 || point == 0x7f) {
      out += base::format("\\x{:02x}", point);
    } else if (point >= 0x80 && point <= 0xa0) {  // controls and the hard space, which Go does not print either
      out += base::format("\\u{:04x}", point);
    } else {
      out += text.substr(i, size);
    }
    i += size;
  }
  return out + '"';
}

std::string label_set(const std::vector<label>& labels, std::string_view colon) {
  std::vector<std::string> pairs;
  for (const label& l : labels) pairs.push_back(quote(l.key).append(colon).append(quote(l.value)));
  std::sort(pairs.begin(), pairs.end());
  std::string out = "{";
  for (const std::string& pair : pairs) out.append(out.size() > 1 ? ", " : "").append(pair);
  return out.append("}");
}

std::vector<std::string> comment_lines(std::span<const std::string> incomplete, std::span<const std::string> likely) {
  std::vector<std::string> out;
  auto add = [&](std::string_view what, const std::string& text) {
    std::string& line = out.emplace_back(what);
    for (char c : text) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;  // a thread may have any name
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
  return (line.file + ':').append(std::to_string(line.line));
}

}  // namespace stray::profile
