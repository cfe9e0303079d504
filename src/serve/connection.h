// One client: cpp-httplib's Stream over a socket, with limits of time and size.
//
// 1. A head has `head_bytes` and `head_time` in all: one byte every four seconds does not hold a thread for long.
// 2. Every wait also ends when the server stops (stop_fd becomes readable).
// 3. No SIGPIPE: sends have MSG_NOSIGNAL.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include <httplib.h>

namespace stray::serve {

class connection final : public httplib::Stream {
 public:
  // Takes the socket.
  connection(int fd, int stop_fd) noexcept : fd_(fd), stop_fd_(stop_fd) {}
  ~connection() override;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // Before each request: the limits begin anew.
  void begin_request() noexcept;
  // Whether a byte comes within the time; false also at the end of the stream.
  bool wait_for_bytes(std::chrono::milliseconds most) noexcept;
  // Sleeps that long; false when the server stops or the client left.
  bool linger(std::chrono::seconds time) noexcept;

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override { ip.clear(), port = 0; }
  void get_local_ip_and_port(std::string& ip, int& port) const override { ip.clear(), port = 0; }
  socket_t socket() const override { return fd_; }

 private:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t head_bytes = std::size_t{32} << 10;
  static constexpr std::chrono::seconds head_time{10}, one_wait{5};

  // Whether the socket has one of the events before the deadline.
  bool wait(short events, clock::time_point deadline) const noexcept;

  const int fd_, stop_fd_;
  clock::time_point deadline_{};
  std::size_t allowed_ = 0;  // bytes that this request's head may still have
  char buffer_[4096];
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace stray::serve
