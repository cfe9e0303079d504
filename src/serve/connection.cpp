// Non-blocking calls with poll before them: each wait has a deadline and ends when the server stops.
#include "serve/connection.h"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/request_head.h"

namespace stray::serve {

connection::~connection() {
  // What the client sent and we did not read would make close() reset the connection before our answer is read: say that we are done,
  // and take a little of it.
  ::shutdown(fd_, SHUT_WR);
  char rest[4096];
  for (int i = 0; i < 16 && ::recv(fd_, rest, sizeof rest, MSG_DONTWAIT) > 0; ++i) {
  }
  ::close(fd_);
}

bool connection::wait(short events, clock::time_point deadline) const noexcept {
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
    pollfd fds[2] = {{fd_, events, 0}, {stop_fd_, POLLIN, 0}};
    int n = ::poll(fds, 2, left > 0 ? static_cast<int>(left) : 0);
    if (n < 0 && errno == EINTR) continue;
    return n > 0 && fds[1].revents == 0 && (fds[0].revents & (events | POLLHUP | POLLERR)) != 0;
  }
}

bool connection::is_stopped() const noexcept {
  pollfd stop = {stop_fd_, POLLIN, 0};
  return ::poll(&stop, 1, 0) > 0;
}

bool connection::wait_for_bytes(std::chrono::milliseconds most) noexcept {
  return used_ < bytes_.size() || wait(POLLIN, clock::now() + most);
}

bool connection::linger(std::chrono::seconds time) noexcept {
  auto deadline = clock::now() + time;
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
    if (left <= 0) return true;
    // A client that closed its sending half counts as gone, as in Go's net/http.
    pollfd fds[2] = {{fd_, POLLRDHUP, 0}, {stop_fd_, POLLIN, 0}};
    int n = ::poll(fds, 2, static_cast<int>(left));
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) return false;
  }
}

std::string_view connection::read_head(const std::function<bool()>& others_wait) {
  bytes_.erase(0, used_);
  used_ = 0;
  const auto begun = clock::now();
  auto heard = begun;
  for (;;) {
    std::size_t first = bytes_.find_first_not_of("\r\n");  // empty lines before a request are passed over (RFC 9112, 2.2)
    bytes_.erase(0, std::min(first, bytes_.size()));
    used_ = head_size(bytes_);
    if (used_ != 0) return std::string_view(bytes_).substr(0, used_);
    too_large_ = bytes_.size() >= head_bytes;
    if (too_large_) return {};
    if (auto now = clock::now(); !wait(POLLIN, now + one_look)) {
      bool goes_on = now < std::min(begun + head_time, heard + one_wait) && (now < begun + hurried_head_time || !others_wait());
      if (!goes_on || is_stopped()) return {};
      continue;
    }
    heard = clock::now();
    if (heard >= begun + head_time || (heard >= begun + hurried_head_time && others_wait())) return {};
    char part[4096];
    ssize_t n = ::recv(fd_, part, std::min(sizeof part, head_bytes - bytes_.size()), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return {};
    bytes_.append(part, static_cast<std::size_t>(n));
  }
}

bool connection::write(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!wait(POLLOUT, clock::now() + one_wait)) return false;
    } else if (n == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace stray::serve
