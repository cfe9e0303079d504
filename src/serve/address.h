// A listening socket for an address as Go writes it.
#pragma once

#include <string>
#include <string_view>

namespace stray::serve {

struct listener {
  int fd = -1;
  int port = 0;
  bool loopback = false;  // reachable from this machine only
};

// "localhost:6060", "127.0.0.1:0", "[::1]:6060", ":6060" (every interface). Throws std::system_error or std::invalid_argument whose text says
// what, why and what to do.
listener listen_on(std::string_view address);

}  // namespace stray::serve
