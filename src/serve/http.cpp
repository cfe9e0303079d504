// Rejected: SO_REUSEPORT (a second process would get the port in silence), a queue of connections without bound, a thread for each client.
#include "serve/http.h"

#include <condition_variable>
#include <ctime>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/format.h"
#include "base/zeroed.h"
#include "runtime/start.h"
#include "serve/address.h"
#include "serve/connection.h"
#include "serve/request_head.h"

namespace stray::serve {

namespace {

constexpr int request_threads = 4, requests_per_connection = 100;
constexpr unsigned most_waiting = 64;

std::string date_now() {
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  std::size_t n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, n};
}

std::string_view reason(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 301:
      return "Moved Permanently";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

// left: how many requests the connection may still bring; 0: it ends here.
bool send(connection& client, const response& r, bool with_body, int left) {
  std::string head = base::format("HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Length: {}\r\n", r.status, reason(r.status),
                                  date_now(), r.body.size());
  for (const auto& [name, value] : r.headers) base::format_to(head, "{}: {}\r\n", name, value);
  head += left == 0 ? std::string("Connection: close\r\n\r\n") : base::format("Keep-Alive: timeout=5, max={}\r\n\r\n", left);
  if (!with_body) return client.write(head);
  // One packet where it fits: the client need not wait for the second one.
  constexpr std::size_t small = 16384;
  if (r.body.size() <= small) return client.write(head + r.body);
  return client.write(head) && client.write(r.body);
}

void refuse(connection& client, int status) {
  response r{status, {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}}, {}};
  r.body = base::format("{} {}\n", status, reason(status));
  send(client, r, true, 0);
}

// One request and its answer; false when the connection must end.
bool serve(const handler& answer, connection& client, std::int64_t sent_ns, int left) {
  std::string_view head = client.read_head();
  if (head.empty()) {
    if (client.too_large()) refuse(client, 431);
    return false;
  }
  request_head in;
  if (int status = parse_head(head, in); status != 200) {
    refuse(client, status);
    return false;
  }
  // An unread body would be taken for the next request.
  if (!in.keep_alive || in.has_body) left = 0;
  wait_function wait = [&client](std::chrono::seconds time) { return client.linger(time); };
  response r = answer({in.method, in.target, sent_ns, wait});
  return send(client, r, in.method != "HEAD", left) && left != 0;
}

}  // namespace

class http_server::impl : public base::zeroed {
 public:
  impl(std::string_view address, handler answer) : answer_(std::move(answer)), socket_(listen_on(address)) {
    stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd_ < 0) {
      int error = errno;
      close(socket_.fd);
      throw std::system_error(error, std::generic_category(), "stray: cannot serve: no event descriptor");
    }
    try {
      start([](void* self) -> void* { return static_cast<impl*>(self)->listen(), nullptr; });
      for (int i = 0; i < request_threads; ++i)
        start([](void* self) -> void* { return static_cast<impl*>(self)->work(), nullptr; });
    } catch (...) {
      stop();
      throw;
    }
    if (!socket_.loopback)
      base::say(
          "stray: warning: /debug/pprof on %.*s can be reached from other machines, and it shows the program's inside; "
          "localhost:%d cannot",
          static_cast<int>(address.size()), address.data(), socket_.port);
  }
  ~impl() { stop(); }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  int port() const noexcept { return socket_.port; }

 private:
  void start(void* (*body)(void*)) {
    threads_[started_] = runtime::start_thread("stray-http", body, this);
    started_++;
  }

  void stop() noexcept {
    {
      std::lock_guard guard(lock_);
      stopping_ = true;
    }
    std::uint64_t one = 1;
    if (::write(stop_fd_, &one, sizeof one) < 0) base::say("stray: cannot wake the HTTP threads");
    wake_.notify_all();
    for (int i = 0; i < started_; i++) pthread_join(threads_[i], nullptr);
    for (unsigned i = 0; i < count_; i++) close(waiting(i).fd);
    close(socket_.fd);
    close(stop_fd_);
  }

  // Accepted, and until there is a thread for it.
  struct waiting_client {
    int fd = -1;
    std::int64_t sent_ns = 0;  // when bytes of it were first seen; 0: none so far
  };

  // The i-th of those that wait. With the lock held.
  waiting_client& waiting(unsigned i) noexcept { return ring_[(first_ + i) % most_waiting]; }

  void listen() {
    runtime::service_thread ours;
    for (;;) {
      pollfd fds[2] = {{socket_.fd, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) continue;
      if (fds[1].revents != 0) return;
      int fd = accept4(socket_.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) {
        // Out of descriptors: the client waits in the backlog; look again a little later.
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) ::poll(&fds[1], 1, 100);
        continue;
      }
      std::lock_guard guard(lock_);
      if (count_ >= most_waiting) {
        close(fd);
        continue;
      }
      waiting(count_++) = {fd};
      wake_.notify_one();
    }
  }

  void work() {
    runtime::service_thread ours;
    for (;;) {
      waiting_client next;
      {
        std::unique_lock guard(lock_);
        wake_.wait(guard, [this] { return stopping_ || count_ != 0; });
        if (stopping_) return;
        see_who_has_sent();
        next = waiting(0);
        first_ = (first_ + 1) % most_waiting;
        count_--;
      }
      connection client(next.fd, stop_fd_);
      try {
        for (int i = 1; next_request(client, i == 1); ++i) {
          std::int64_t sent = i == 1 && next.sent_ns != 0 ? next.sent_ns : base::now_ns();
          if (!serve(answer_, client, sent, requests_per_connection - i)) break;
        }
      } catch (const std::exception& e) {
        base::say("stray: an HTTP request failed: %s", e.what());
      }
    }
  }

  // Before each request is served, so that those that wait may share what is found for it. With the lock held.
  void see_who_has_sent() noexcept {
    pollfd fds[most_waiting];
    nfds_t n = 0;
    for (unsigned i = 0; i < count_; i++)
      fds[n++] = {waiting(i).fd, static_cast<short>(waiting(i).sent_ns == 0 ? POLLIN : 0), 0};
    if (::poll(fds, n, 0) <= 0) return;
    std::int64_t now = base::now_ns();
    for (unsigned i = 0; i < count_; i++)
      if ((fds[i].revents & POLLIN) != 0) waiting(i).sent_ns = now;
  }

  // Waits for a request on a connection: 5 s, but when other connections wait for this thread 1 s for the first and no time for the next.
  bool next_request(connection& client, bool first) {
    using namespace std::chrono;
    auto start = steady_clock::now();
    while (!client.wait_for_bytes(50ms)) {
      std::lock_guard guard(lock_);
      auto patience = count_ == 0 ? 5s : first ? 1s : 0s;
      if (stopping_ || steady_clock::now() - start >= patience) return false;
    }
    return true;
  }

  const handler answer_;
  listener socket_;
  int stop_fd_ = -1;
  std::mutex lock_;  // guards the ring and stopping_
  std::condition_variable wake_;
  waiting_client ring_[most_waiting];
  unsigned first_ = 0, count_ = 0;
  bool stopping_ = false;
  pthread_t threads_[1 + request_threads]{};
  int started_ = 0;
};

http_server::http_server(std::string_view address, handler answer)
    : impl_(std::make_unique<impl>(address, std::move(answer))) {}
http_server::~http_server() = default;
int http_server::port() const noexcept { return impl_->port(); }

}  // namespace stray::serve
