#include "serve/request_head.h"

#include <algorithm>
#include <utility>

#include "serve/query.h"

namespace stray::serve {

namespace {

bool same_name(std::string_view a, std::string_view b) noexcept {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [lower](char x, char y) { return lower(x) == lower(y); });
}

bool is_token(std::string_view text) noexcept {
  auto good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), good);
}

bool has_control(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t";
  std::size_t first = text.find_first_not_of(blanks);
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// Whether a list such as "keep-alive, upgrade" has the word.
bool lists(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    std::size_t comma = std::min(list.find(','), list.size());
    if (same_name(trimmed(list.substr(0, comma)), word)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Without its end; empty also at the end of the text.
std::string_view take_line(std::string_view& text) noexcept {
  std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

int request_line(std::string_view line, request_head& out) noexcept {
  std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == line.npos || first == last) return 400;
  std::string_view version = line.substr(last + 1);
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  bool visible = std::all_of(out.target.begin(), out.target.end(),
                             [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; });
  if (!is_token(out.method) || !visible || !version.starts_with("HTTP/")) return 400;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return 505;
  out.keep_alive = version == "HTTP/1.1";
  return out.target.starts_with('/') || out.target == "*" ? 200 : 400;
}

}  // namespace

std::string_view request_head::field(std::string_view name) const noexcept {
  for (const auto& [key, value] : fields)
    if (same_name(key, name)) return value;
  return {};
}

std::size_t head_size(std::string_view bytes) noexcept {
  for (std::size_t at = bytes.find('\n'); at != bytes.npos; at = bytes.find('\n', at + 1)) {
    if (bytes.substr(at + 1).starts_with('\n')) return at + 2;
    if (bytes.substr(at + 1).starts_with("\r\n")) return at + 3;
  }
  return 0;
}

int parse_head(std::string_view head, request_head& out) {
  out = {};
  if (int status = request_line(take_line(head), out); status != 200) return status;
  std::string_view length;
  bool close = false, keep = false, host = false;
  for (std::string_view line = take_line(head); !line.empty(); line = take_line(head)) {
    std::size_t colon = line.find(':');
    if (colon == line.npos) return 400;
    std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
    if (!is_token(name) || has_control(value)) return 400;
    if (same_name(name, "Host") && std::exchange(host, true)) return 400;
    out.fields.emplace_back(name, value);
    if (same_name(name, "Content-Length")) {
      auto number = whole_number(value);
      if (!number || *number < 0 || value.starts_with('+') || (!length.empty() && length != value)) return 400;
      out.has_body |= value != "0" || !length.empty();
      length = value;
    }
    out.has_body |= same_name(name, "Transfer-Encoding");
    close |= same_name(name, "Connection") && lists(value, "close");
    keep |= same_name(name, "Connection") && lists(value, "keep-alive");
  }
  out.keep_alive = !close && (out.keep_alive || keep);
  return 200;
}

}  // namespace stray::serve
