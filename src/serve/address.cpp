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
#include <sys/stat.h>
#include <sys/un.h>
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
                   "interface; or unix:/path",
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
  out.bound = bound;
  out.both_families = both_families;
  return 0;
}

[[noreturn]] void fail_on_file(std::string_view address, int error, std::string_view hint) {
  throw with_hint(error, base::format("stray: cannot serve on {}: {}; {}", address, std::strerror(error), hint));
}

// A socket whose process has ended refuses connections. Anything else in that place stays.
bool is_left_over(const sockaddr_un& at) noexcept {
  struct stat s {};
  if (lstat(at.sun_path, &s) != 0 || !S_ISSOCK(s.st_mode) || s.st_uid != geteuid()) return false;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  bool refused = connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 && errno == ECONNREFUSED;
  close(fd);
  return refused;
}

// 0 or an error number; the path is in `at`.
int bind_file(const sockaddr_un& at, listener& out) noexcept {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const auto* where = reinterpret_cast<const sockaddr*>(&at);
  // The file gets the socket's mode: there is no moment at which others could connect.
  int error = fchmod(fd, S_IRUSR | S_IWUSR) == 0 && bind(fd, where, sizeof at) == 0 ? 0 : errno;
  if (error == EADDRINUSE && is_left_over(at)) error = unlink(at.sun_path) == 0 && bind(fd, where, sizeof at) == 0 ? 0 : errno;
  struct stat s {};
  if (error == 0 && (listen(fd, backlog) != 0 || lstat(at.sun_path, &s) != 0)) error = errno;
  if (error != 0) {
    close(fd);
    return error;
  }
  out.fd = fd;
  out.device = s.st_dev;
  out.inode = s.st_ino;
  return 0;
}

listener listen_on_file(std::string_view address, std::string_view path) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (!path.starts_with('/') || path.find('\0') != path.npos)
    bad_address(address, "the path of its socket does not begin with /");
  if (path.size() >= sizeof at.sun_path) bad_address(address, "the path of its socket is longer than 107 bytes");
  std::memcpy(at.sun_path, path.data(), path.size());
  listener result;
  int error = bind_file(at, result);
  if (error == EMFILE || error == ENFILE) fail(address, error);
  if (error != 0)
    fail_on_file(address, error,
                 error == EADDRINUSE ? "another process serves there, or it is another user's or no socket: choose another path"
                                     : "its folder must be there, and this process's user must be allowed to make files in it");
  result.loopback = true;
  std::memcpy(result.path, at.sun_path, sizeof result.path);
  return result;
}

}  // namespace

int listen_again(listener& l) noexcept {
  if (l.port == 0) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, l.path, sizeof at.sun_path);
    return bind_file(at, l);
  }
  const socklen_t size = l.bound.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  return open_socket(reinterpret_cast<const sockaddr*>(&l.bound), size, l.both_families, l);
}

bool is_own_client(int fd) noexcept {
  ucred who{};
  socklen_t size = sizeof who;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && (who.uid == geteuid() || who.uid == 0);
}

void remove_file_of(const listener& l) noexcept {
  struct stat s {};
  if (l.path[0] != '\0' && lstat(l.path, &s) == 0 && s.st_dev == l.device && s.st_ino == l.inode) unlink(l.path);
}

listener listen_on(std::string_view address) {
  if (address.starts_with("unix:")) return listen_on_file(address, address.substr(5));
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
  std::strncpy(result.host, host.c_str(), sizeof result.host - 1);
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
