// Non-blocking calls with poll before them: each wait has a deadline and ends when the server stops.
#include "serve/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace stray::serve {

connection::~connection() {
  // What the client sent and we did not read would make close() reset the connection before our answer is read: say that we are done,
  // and take a little of it.
  ::shutdown(fd_, SHUT_WR);
  for (int i = 0; i < 16 && ::recv(fd_, buffer_, sizeof buffer_, MSG_DONTWAIT) > 0; ++i) {
  }
  ::close(fd_);
}

void connection::begin_request() noexcept {
  deadline_ = clock::now() + head_time;
  allowed_ = head_bytes;
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

bool connection::wait_for_bytes(std::chrono::milliseconds most) noexcept {
  return begin_ < end_ || wait(POLLIN, clock::now() + most);
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

ssize_t connection::read(char* to, std::size_t size) {
  if (begin_ == end_) {
    if (allowed_ == 0 || !wait(POLLIN, std::min(deadline_, clock::now() + one_wait))) return -1;
    ssize_t n = ::recv(fd_, buffer_, std::min(sizeof buffer_, allowed_), MSG_DONTWAIT);
    if (n <= 0) return n;
    allowed_ -= static_cast<std::size_t>(n);
    begin_ = 0;
    end_ = static_cast<std::size_t>(n);
  }
  std::size_t n = std::min(size, end_ - begin_);
  std::memcpy(to, buffer_ + begin_, n);
  begin_ += n;
  return static_cast<ssize_t>(n);
}

ssize_t connection::write(const char* from, std::size_t size) {
  std::size_t sent = 0;
  while (sent < size) {
    ssize_t n = ::send(fd_, from + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!wait(POLLOUT, clock::now() + one_wait)) return -1;
    } else if (n < 0 && errno != EINTR) {
      return -1;
    }
  }
  return static_cast<ssize_t>(sent);
}

}  // namespace stray::serve
