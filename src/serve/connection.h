// One client: heads from a socket and answers to it, with limits of time and size.
//
// 1. A head has `head_bytes` and 10 s in all, or half a second while others wait: one byte every four seconds does not hold a thread for long.
// 2. Every wait also ends when the server stops (stop_fd becomes readable).
// 3. No SIGPIPE: sends have MSG_NOSIGNAL.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace stray::serve {

class connection {
 public:
  // Takes the socket.
  connection(int fd, int stop_fd) noexcept : fd_(fd), stop_fd_(stop_fd) {}
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // Whether a byte comes within the time; false also at the end of the stream.
  bool wait_for_bytes(std::chrono::milliseconds most) noexcept;
  // Sleeps that long; false when the server stops or the client left.
  bool linger(std::chrono::seconds time) noexcept;

  // The next request's head, its limits beginning now; valid until the next call. others_wait: asked now and then. Empty: the client left, was too slow, or sent more than a
  // head may have (`too_large` tells).
  std::string_view read_head(const std::function<bool()>& others_wait);
  bool too_large() const noexcept { return too_large_; }
  // Whether all of it could be sent.
  bool write(std::string_view bytes) noexcept;

 private:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t head_bytes = std::size_t{32} << 10;
  static constexpr std::chrono::milliseconds head_time{10'000}, hurried_head_time{500}, one_wait{5'000}, one_look{100};

  bool is_stopped() const noexcept;
  // Whether the socket has one of the events before the deadline.
  bool wait(short events, clock::time_point deadline) const noexcept;

  const int fd_, stop_fd_;
  std::string bytes_;  // received; the first `used_` are the last head
  std::size_t used_ = 0;
  bool too_large_ = false;
};

}  // namespace stray::serve
