// As Go: a broken escape or a semicolon drops the pair, the first value of a key counts. Pure.
#include "serve/query.h"

namespace stray::serve {

std::optional<std::string> unescape(std::string_view text, bool plus_is_space) {
  auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (text.size() - i < 3) return std::nullopt;
      int hi = digit(text[i + 1]), lo = digit(text[i + 2]);
      if (hi < 0 || lo < 0) return std::nullopt;
      out += static_cast<char>(hi * 16 + lo);
      i += 2;
    } else {
      out += text[i] == '+' && plus_is_space ? ' ' : text[i];
    }
  }
  return out;
}

query::query(std::string_view text) {
  while (!text.empty()) {
    std::size_t end = text.find('&');
    std::string_view pair = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    std::size_t equals = pair.find('=');
    auto key = unescape(pair.substr(0, equals), true);
    auto value = unescape(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (key && value) values_.try_emplace(std::move(*key), std::move(*value));
  }
}

std::string_view query::get(std::string_view key) const {
  auto at = values_.find(key);
  return at == values_.end() ? std::string_view() : std::string_view(at->second);
}

}  // namespace stray::serve
