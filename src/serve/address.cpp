// Rejected: SO_REUSEPORT: two programs would share a port in silence, and requests would go to either.
#include "serve/address.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

#include "base/format.h"
#include "serve/query.h"

namespace stray::serve {

namespace {

constexpr int backlog = 64;

// system_error would append ": " and the error's text; the hint must come last.
struct with_hint : std::system_error {
  with_hint(int e, std::string all) : std::system_error(e, std::generic_category()), text(std::move(all)) {}
  const char* what() const noexcept override { return text.c_str(); }
  std::string text;
};

[[noreturn]] void fail(std::string_view address, int error) {
  const char* hint = "";
  switch (error) {
    case EADDRINUSE:
      hint = "; another process has the port: choose another one, or port 0 for any free one";
      break;
    case EACCES:
      hint = "; ports below 1024 need privileges: choose a higher one";
      break;
    case EADDRNOTAVAIL:
      hint = "; no interface of this machine has that address: use localhost, or leave the host out for every interface";
      break;
    case EMFILE:
      hint = "; the process has too many files open (ulimit -n)";
      break;
    default:
      break;
  }
  throw with_hint(error, base::format("stray: cannot serve on {}: {}{}", address, std::strerror(error), hint));
}

[[noreturn]] void bad_address(std::string_view address, std::string_view why) {
  throw with_hint(
      EINVAL,
      base::format("stray: cannot serve on \"{}\": {}; write HOST:PORT, such as localhost:6060, [::1]:6060, or :6060 for every "
                   "interface",
                   address, why));
}

bool is_loopback(const sockaddr_storage& a) {
  if (a.ss_family == AF_INET) return ntohl(reinterpret_cast<const sockaddr_in&>(a).sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(a).sin6_addr);
}

// 0 or an error number.
int open_socket(const sockaddr* where, socklen_t size, bool both_families, listener& out) {
  int fd = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (where->sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on);
  sockaddr_storage bound{};
  socklen_t bound_size = sizeof bound;
  if (bind(fd, where, size) != 0 || listen(fd, backlog) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &bound_size) != 0) {
    int error = errno;
    close(fd);
    return error;
  }
  out.fd = fd;
  out.port = ntohs(bound.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(bound).sin_port
                                              : reinterpret_cast<sockaddr_in6&>(bound).sin6_port);
  out.loopback = is_loopback(bound);
  return 0;
}

}  // namespace

listener listen_on(std::string_view address) {
  std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) bad_address(address, "it has no port");
  std::string host(address.substr(0, colon)), port(address.substr(colon + 1));
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) bad_address(address, "the bracket is not closed");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    bad_address(address, "an IPv6 address stands in brackets");
  }
  auto number = whole_number(port);
  if (!number || *number < 0 || *number > 65535 || port.starts_with('+'))
    bad_address(address, "the port is no number from 0 to 65535");

  listener result;
  if (host.empty()) {
    sockaddr_in6 any6{};
    any6.sin6_family = AF_INET6;
    any6.sin6_port = htons(static_cast<std::uint16_t>(*number));
    int error = open_socket(reinterpret_cast<sockaddr*>(&any6), sizeof any6, true, result);
    if (error == EAFNOSUPPORT || error == EADDRNOTAVAIL) {  // no IPv6 here
      sockaddr_in any4{};
      any4.sin_family = AF_INET;
      any4.sin_port = any6.sin6_port;
      error = open_socket(reinterpret_cast<sockaddr*>(&any4), sizeof any4, false, result);
    }
    if (error != 0) fail(address, error);
    return result;
  }

  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  int status = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (status != 0) bad_address(address, base::format("the host is unknown ({})", gai_strerror(status)));
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  // IPv4 first, as Go does for a name with both.
  int first_error = 0;
  for (int family : {AF_INET, AF_INET6})
    for (addrinfo* a = found; a != nullptr; a = a->ai_next) {
      if (a->ai_family != family) continue;
      int error = open_socket(a->ai_addr, a->ai_addrlen, false, result);
      if (error == 0) return result;
      if (first_error == 0) first_error = error;
    }
  fail(address, first_error != 0 ? first_error : EADDRNOTAVAIL);
}

}  // namespace stray::serve
