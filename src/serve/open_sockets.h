// The connections that a server has open, so that the child of a fork can close its copies: else a client would stay connected for as long as the
// child lives.
//
// 1. close_copies() makes system calls only and takes no lock: the fork may have come in the middle of anything. A connection that was being
//    accepted or closed in that moment may stay open in the child; a descriptor that is not ours is never closed (the socket's cookie tells).
// 2. A socket is added before anything is done with it, and taken out before its number may be another file's.
// Any thread. No container, no memory of its own (http.h 6).
#pragma once

#include <atomic>
#include <cstdint>
#include <sys/socket.h>
#include <unistd.h>

namespace stray::serve {

// Tells a socket from another one that got its number; 0: cannot be told.
inline std::uint64_t cookie_of(int fd) noexcept {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

// True when that was the socket's number, and is closed now. Where there are no cookies any socket is taken for it.
inline bool close_if_same(int fd, std::uint64_t cookie) noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || cookie_of(fd) != cookie) return false;
  return close(fd) == 0;
}

class open_sockets {
 public:
  // Nothing when there is no room: then the child keeps its copy.
  void add(int fd) noexcept {
    for (one& o : all_) {
      int free = 0;
      if (!o.number.compare_exchange_strong(free, fd + 1)) continue;
      o.cookie = cookie_of(fd);
      return;
    }
  }
  void remove(int fd) noexcept {
    for (one& o : all_) {
      if (o.number != fd + 1) continue;
      o.cookie = 0;
      o.number = 0;
      return;
    }
  }
  // Of the parent's, in the child of a fork.
  void close_copies() noexcept {
    for (one& o : all_) {
      close_if_same(o.number - 1, o.cookie);
      o.cookie = 0;
      o.number = 0;
    }
  }

 private:
  static constexpr int room = 72;  // those that wait, one for each thread
  struct one {
    std::atomic<int> number{0};  // the descriptor + 1; 0: free
    std::atomic<std::uint64_t> cookie{0};
  };
  one all_[room];
};

}  // namespace stray::serve
