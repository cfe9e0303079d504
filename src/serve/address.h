// A listening socket for an address as Go writes it.
#pragma once

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>

namespace stray::serve {

struct listener {
  int fd = -1;
  int port = 0;           // 0: a unix socket
  bool loopback = false;  // reachable from this machine only
  char host[256] = {};    // as it was given, without brackets; no container (http.h 6)
  char path[108] = {};    // of a unix socket, and which file that is
  dev_t device = 0;
  ino_t inode = 0;
  sockaddr_storage bound = {};  // of the others
  bool both_families = false;
};

// "localhost:6060", "127.0.0.1:0", "[::1]:6060", ":6060" (every interface), "unix:/run/app.sock": a file of mode 0600, in the place of a socket
// that nobody serves on any more. Throws std::system_error or std::invalid_argument whose text says what, why and what to do.
listener listen_on(std::string_view address);

// In the child of a fork, which has closed its copy: on the same address, port or path. 0 or an error number.
int listen_again(listener& l) noexcept;

// Whether a client of a unix socket is of this process's user, or root.
bool is_own_client(int fd) noexcept;
// The file of a unix socket, unless another one is in its place.
void remove_file_of(const listener& l) noexcept;

}  // namespace stray::serve
