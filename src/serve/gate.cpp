#include "serve/gate.h"

#include <algorithm>
#include <arpa/inet.h>

#include "base/format.h"
#include "base/printable.h"

namespace stray::serve {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// "Name.:80" -> "name"; brackets go, too.
std::string host_of(std::string_view value) {
  if (value.starts_with('[')) return lower(value.substr(1, std::min(value.find(']'), value.size()) - 1));
  std::string name = lower(value.substr(0, value.find(':')));
  if (name.ends_with('.')) name.pop_back();
  return name;
}

bool is_address(std::string_view value, const std::string& host) {
  in6_addr bytes;
  return inet_pton(value.starts_with('[') ? AF_INET6 : AF_INET, host.c_str(), &bytes) == 1;
}

bool lists(std::string_view list, const std::string& host) {
  while (!list.empty()) {
    std::size_t comma = std::min(list.find(','), list.size());
    std::string_view one = list.substr(0, comma);
    if (one == "*" || (!one.empty() && lower(one) == host)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Nothing at what is no base64.
std::string from_base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  unsigned bits = 0, count = 0;
  for (char c : text) {
    std::size_t digit = digits.find(c);
    if (digit == digits.npos) return {};
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xffff;
    count += 6;
    if (count >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

// In a time that depends on the length of `given` alone.
bool is_token(std::string_view given, std::string_view token) noexcept {
  unsigned difference = given.size() == token.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); i++) difference |= static_cast<unsigned char>(given[i] ^ token[i % token.size()]);
  return difference == 0;
}

response forbidden(std::string text) {
  response r{403, {{"Content-Type", "text/plain; charset=utf-8"}}, base::printable(text) + "\n"};
  add_guard_headers(r);
  return r;
}

}  // namespace

std::optional<response> turned_away(const request_head& head, bool loopback, std::string_view served_as,
                                    std::string_view allowed_hosts) {
  std::string_view host = head.field("Host"), origin = head.field("Origin");
  if (loopback && !host.empty()) {
    std::string name = host_of(host);
    bool known = name == "localhost" || name.ends_with(".localhost") || is_address(host, name) || name == lower(served_as) ||
                 lists(allowed_hosts, name);
    if (!known)
      return forbidden(
          base::format("stray: the host \"{}\" is not served here: ask for localhost or an IP address, or start the program "
                       "with STRAY_PPROF_HOSTS={}",
                       name, name));
  }
  if (lower(head.field("Sec-Fetch-Site")) == "cross-site")
    return forbidden("stray: a page of another site asked for this: open the address yourself");
  if (!origin.empty() && lower(origin) != "http://" + lower(host) && lower(origin) != "https://" + lower(host))
    return forbidden(base::format("stray: a page of {} asked for this, and only this server's own may", origin));
  return std::nullopt;
}

std::optional<response> without_token(const request_head& head, std::string_view token) {
  if (token.empty()) return std::nullopt;
  std::string_view given = head.field("Authorization");
  std::size_t blank = std::min(given.find(' '), given.size());
  std::string scheme = lower(given.substr(0, blank));
  given.remove_prefix(std::min(blank + 1, given.size()));
  std::string basic = scheme == "basic" ? from_base64(given) : std::string();
  if (scheme == "basic") given = std::string_view(basic).substr(std::min(basic.find(':') + 1, basic.size()));
  if ((scheme == "bearer" || scheme == "basic") && is_token(given, token)) return std::nullopt;
  response r{401,
             {{"Content-Type", "text/plain; charset=utf-8"}, {"WWW-Authenticate", "Basic realm=\"stray\""}},
             "stray: this endpoint wants the token of its STRAY_PPROF_TOKEN: Authorization: Bearer TOKEN\n"};
  add_guard_headers(r);
  return r;
}

void add_guard_headers(response& r) {
  constexpr std::pair<std::string_view, std::string_view> all[] = {
      {"X-Content-Type-Options", "nosniff"},
      {"Cache-Control", "no-store"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"X-Frame-Options", "DENY"},
      {"Content-Security-Policy",
       "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"}};
  for (const auto& [name, value] : all) {
    bool there = std::any_of(r.headers.begin(), r.headers.end(), [name = name](const auto& h) { return h.first == name; });
    if (!there) r.headers.emplace_back(name, value);
  }
}

}  // namespace stray::serve
