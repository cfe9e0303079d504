// Profiles: the /debug/pprof/ endpoint for the unmodified `go tool pprof`, and the same bytes to a stream.
#pragma once

#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <stray/detail/library_mode.hpp>

#pragma GCC visibility push(default)

namespace stray::pprof {

// A running endpoint; stops when destroyed, unless detached.
class [[nodiscard]] server {
 public:
  server(server&&) noexcept;
  server& operator=(server&&) noexcept;
  ~server();
  int port() const noexcept;  // 0: a unix socket
  void detach() noexcept;     // serves until the process ends

 private:
  friend server serve(const std::string& address);
  struct state;
  explicit server(std::unique_ptr<state> s) noexcept;
  std::unique_ptr<state> state_;
};

// Serves on "host:port"; port 0 takes any free one. "unix:/path": a socket of mode 0600, for this process's user and root only, which is removed at
// the end. Own OS threads (one listener, four for requests), all signals blocked in them.
// Throws std::system_error that says what to do when the address cannot be bound. The environment variable STRAY_PPROF=host:port serves
// without a change of code. Who may ask, and how often: docs/endpoint.md.
server serve(const std::string& address);

// profile: "goroutineleak" or "goroutine". debug: 0 gzipped profile.proto, 1 counts, 2 stacks. Throws std::invalid_argument.
// After an incomplete detection the profile says so: a comment of the protobuf, a line `# incomplete: REASON` of the texts.
void write(std::string_view profile, std::ostream& out, int debug);

// The running of `labels` from its constructor on; what it changes belongs to the calling goroutine or thread, which must destroy it.
class [[nodiscard]] label_scope {
 public:
  explicit label_scope(std::initializer_list<std::pair<std::string_view, std::string_view>> set);
  ~label_scope();
  label_scope(const label_scope&) = delete;
  label_scope& operator=(const label_scope&) = delete;

 private:
  void* before_;
};

// Calls f with these labels (key, value) added to the caller's own, and returns what it returns; a key that is there already gets the new
// value meanwhile. Goroutines that f starts inherit them for their whole life, and so do theirs. Profiles show them (`go tool pprof -tags`,
// `-tagfocus`), and so does leak::goroutine::labels; samples with different labels are different.
//   stray::pprof::labels({{"route", "/buy"}}, [&] { serve(request); });
// Any goroutine or OS thread may call it; f may block. Costs an allocation; a goroutine that is started under labels costs a reference count.
// Throws std::bad_alloc and what f throws.
template <class F>
std::invoke_result_t<F> labels(std::initializer_list<std::pair<std::string_view, std::string_view>> set, F&& f) {
  label_scope scope(set);
  return std::invoke(std::forward<F>(f));
}

struct response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};
// For a user's own HTTP server: method "GET" or "HEAD", target "/debug/pprof/goroutineleak?debug=1". Who may ask is that server's to decide: it
// knows the request's head. With `seconds=` the call takes as long, 300 s at most, on a thread of its own; two such wait at a time in the
// process, and a third one's answer is 503.
response handle(std::string_view method, std::string_view target);

}  // namespace stray::pprof

#pragma GCC visibility pop
