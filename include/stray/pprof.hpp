// Profiles: the /debug/pprof/ endpoint for the unmodified `go tool pprof`, and the same bytes to a stream.
#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stray::pprof {

// A running endpoint; stops when destroyed, unless detached.
class [[nodiscard]] server {
 public:
  server(server&&) noexcept;
  server& operator=(server&&) noexcept;
  ~server();
  int port() const noexcept;
  void detach() noexcept;  // serves until the process ends

 private:
  friend server serve(const std::string& address);
  struct state;
  explicit server(std::unique_ptr<state> s) noexcept;
  std::unique_ptr<state> state_;
};

// Serves on "host:port"; port 0 takes any free one. Own OS threads (one listener, four for requests), all signals blocked in them.
// Throws std::system_error that says what to do when the address cannot be bound. The environment variable STRAY_PPROF=host:port serves
// without a change of code.
server serve(const std::string& address);

// profile: "goroutineleak" or "goroutine". debug: 0 gzipped profile.proto, 1 counts, 2 stacks. Throws std::invalid_argument.
// After an incomplete detection the profile says so: a comment of the protobuf, a line `# incomplete: REASON` of the texts.
void write(std::string_view profile, std::ostream& out, int debug);

struct response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};
// For a user's own HTTP server: method "GET" or "HEAD", target "/debug/pprof/goroutineleak?debug=1".
response handle(std::string_view method, std::string_view target);

}  // namespace stray::pprof
