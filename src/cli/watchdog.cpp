#include "cli/watchdog.h"

#include <algorithm>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace stray::cli {

namespace {

std::size_t bytes_received(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (socket < 0 || getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return size >= offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received ? info.tcpi_bytes_received : 0;
}

}  // namespace

watchdog::watchdog(std::chrono::steady_clock::time_point end, std::size_t most)
    : end_(end), most_(most), thread_([this] { run(); }) {}

watchdog::~watchdog() {
  {
    std::lock_guard guard(lock_);
    done_ = true;
  }
  changed_.notify_one();
  thread_.join();
  if (socket_ >= 0) close(socket_);
}

void watchdog::watch(int socket) {
  std::lock_guard guard(lock_);
  if (socket_ >= 0) close(socket_);
  socket_ = fcntl(socket, F_DUPFD_CLOEXEC, 0);
  bite();
}

void watchdog::expect(std::size_t most) {
  std::lock_guard guard(lock_);
  most_ = most;
}

bool watchdog::late() const {
  std::lock_guard guard(lock_);
  return late_;
}
bool watchdog::flooded() const {
  std::lock_guard guard(lock_);
  return flooded_;
}

bool watchdog::bite() {
  late_ = late_ || std::chrono::steady_clock::now() >= end_;
  flooded_ = flooded_ || bytes_received(socket_) > most_;
  if (!late_ && !flooded_) return false;
  if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
  return true;
}

void watchdog::run() {
  std::unique_lock guard(lock_);
  while (!done_ && !bite())
    changed_.wait_until(guard, std::min(end_, std::chrono::steady_clock::now() + std::chrono::milliseconds(20)));
}

}  // namespace stray::cli
