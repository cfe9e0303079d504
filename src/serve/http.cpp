// Own listener and threads around cpp-httplib's reading and writing of HTTP.
//
// Rejected: httplib::Server::listen. It binds with SO_REUSEPORT (a second process gets the port in silence), loses errno, queues connections
// without bound, lets one byte every 4 s hold a thread for ever, and ignores SIGPIPE for the whole process.
#include "serve/http.h"

#include <condition_variable>
#include <csignal>
#include <ctime>
#include <deque>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/stop_signal.h"
#include "serve/address.h"
#include "serve/connection.h"

namespace stray::serve {

namespace {

constexpr int request_threads = 4, requests_per_connection = 100;
constexpr std::size_t most_waiting = 64;

// Blocks signals for the threads made in its scope: they inherit the mask.
class signals_blocked {
 public:
  signals_blocked() {
    sigset_t all;
    sigfillset(&all);
    for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF, base::stop_signal()}) sigdelset(&all, s);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

 private:
  sigset_t before_;
};

// Its constructor ignores SIGPIPE for the whole process; that is the program's to decide.
class sigpipe_kept {
 public:
  sigpipe_kept() { sigaction(SIGPIPE, nullptr, &before_); }
  ~sigpipe_kept() { sigaction(SIGPIPE, &before_, nullptr); }
  sigpipe_kept(const sigpipe_kept&) = delete;
  sigpipe_kept& operator=(const sigpipe_kept&) = delete;

 private:
  struct sigaction before_ {};
};

// One answer's state, for httplib's handler, which knows the request only.
struct exchange {
  connection* client = nullptr;
  std::int64_t sent_ns = 0;
  bool handled = false, has_body = false;
};
thread_local exchange* current = nullptr;

std::string date_now() {
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  std::size_t n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, n};
}

// httplib's parser and writer; its own listening is not used.
class protocol : public httplib::Server {
 public:
  explicit protocol(const handler& answer) {
    set_keep_alive_max_count(requests_per_connection);  // what the Keep-Alive header says
    set_default_headers({{"X-Content-Type-Options", "nosniff"}});
    // Before routing, hence before a body would be read.
    set_pre_routing_handler([&answer](const httplib::Request& in, httplib::Response& out) {
      exchange& x = *current;
      wait_function wait = [&x](std::chrono::seconds time) { return x.client->linger(time); };
      response r = answer({in.method, in.target, x.sent_ns, wait});
      x.handled = true;
      out.status = r.status;
      out.set_header("Date", date_now());
      if (in.method == "HEAD") out.set_header("Accept-Ranges", "none");  // else httplib promises them
      for (auto& [name, value] : r.headers)
        if (name != "X-Content-Type-Options") out.set_header(name, value);
      out.body = std::move(r.body);
      return HandlerResponse::Handled;
    });
  }

  // One request and its answer; false when the connection must end.
  bool serve(connection& client, std::int64_t sent_ns, bool last) {
    exchange x{&client, sent_ns};
    current = &x;
    bool closed = false;
    client.begin_request();
    bool good = process_request(client, last, closed, [&x](httplib::Request& in) {
      x.has_body = in.has_header("Transfer-Encoding") ||
                   (in.has_header("Content-Length") && in.get_header_value("Content-Length") != "0");
      // Neither parts of an answer (many ranges multiply its size) nor compression are offered.
      in.ranges.clear();
      for (const char* name : {"Range", "Accept-Encoding", "Expect"}) in.headers.erase(name);
    });
    current = nullptr;
    // An unread body would be taken for the next request; after garbage nothing sensible can follow.
    return good && !closed && !last && x.handled && !x.has_body;
  }
};

}  // namespace

class http_server::impl {
 public:
  impl(std::string_view address, handler answer) : answer_(std::move(answer)), socket_(listen_on(address)) {
    stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd_ < 0) {
      int error = errno;
      close(socket_.fd);
      throw std::system_error(error, std::generic_category(), "stray: cannot serve: no event descriptor");
    }
    try {
      sigpipe_kept keep;
      protocol_ = std::make_unique<protocol>(answer_);
      signals_blocked blocked;
      threads_.emplace_back([this] { listen(); });
      for (int i = 0; i < request_threads; ++i) threads_.emplace_back([this] { work(); });
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
  void stop() noexcept {
    {
      std::lock_guard guard(lock_);
      stopping_ = true;
    }
    std::uint64_t one = 1;
    if (::write(stop_fd_, &one, sizeof one) < 0) base::say("stray: cannot wake the HTTP threads");
    wake_.notify_all();
    for (auto& t : threads_) t.join();
    for (const waiting_client& w : waiting_) close(w.fd);
    close(socket_.fd);
    close(stop_fd_);
  }

  // Accepted, and until there is a thread for it.
  struct waiting_client {
    int fd = -1;
    std::int64_t sent_ns = 0;  // when bytes of it were first seen; 0: none so far
  };

  void listen() {
    pthread_setname_np(pthread_self(), "stray-http");
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
      if (waiting_.size() >= most_waiting) {
        close(fd);
        continue;
      }
      waiting_.push_back({fd});
      wake_.notify_one();
    }
  }

  void work() {
    pthread_setname_np(pthread_self(), "stray-http");
    for (;;) {
      waiting_client next;
      {
        std::unique_lock guard(lock_);
        wake_.wait(guard, [this] { return stopping_ || !waiting_.empty(); });
        if (stopping_) return;
        see_who_has_sent();
        next = waiting_.front();
        waiting_.pop_front();
      }
      connection client(next.fd, stop_fd_);
      try {
        for (int i = 1; next_request(client, i == 1); ++i) {
          std::int64_t sent = i == 1 && next.sent_ns != 0 ? next.sent_ns : base::now_ns();
          if (!protocol_->serve(client, sent, i == requests_per_connection)) break;
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
    for (const waiting_client& w : waiting_) fds[n++] = {w.fd, static_cast<short>(w.sent_ns == 0 ? POLLIN : 0), 0};
    if (::poll(fds, n, 0) <= 0) return;
    std::int64_t now = base::now_ns();
    n = 0;
    for (waiting_client& w : waiting_)
      if ((fds[n++].revents & POLLIN) != 0) w.sent_ns = now;
  }

  // Waits for a request on a connection: 5 s, but when other connections wait for this thread 1 s for the first and no time for the next.
  bool next_request(connection& client, bool first) {
    using namespace std::chrono;
    auto start = steady_clock::now();
    while (!client.wait_for_bytes(50ms)) {
      std::lock_guard guard(lock_);
      auto patience = waiting_.empty() ? 5s : first ? 1s : 0s;
      if (stopping_ || steady_clock::now() - start >= patience) return false;
    }
    return true;
  }

  const handler answer_;
  listener socket_;
  int stop_fd_ = -1;
  std::unique_ptr<protocol> protocol_;
  std::mutex lock_;  // guards waiting_ and stopping_
  std::condition_variable wake_;
  std::deque<waiting_client> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

http_server::http_server(std::string_view address, handler answer)
    : impl_(std::make_unique<impl>(address, std::move(answer))) {}
http_server::~http_server() = default;
int http_server::port() const noexcept { return impl_->port(); }

}  // namespace stray::serve
