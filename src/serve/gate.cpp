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
