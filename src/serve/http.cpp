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
#include <sys/syscall.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/spin_lock.h"
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
      start_threads(nullptr);
    } catch (...) {
      stop();
      throw;
    }
    if (!socket_.loopback)
      base::say(
          "stray: warning: /debug/pprof on %.*s can be reached from other machines, and it shows the program's inside; "
          "localhost:%d cannot",
          static_cast<int>(address.size()), address.data(), socket_.port);
    static const int registered = pthread_atfork(nullptr, nullptr, [] { all_lock.free_in_child(); });
    static_cast<void>(registered);
    std::lock_guard guard(all_lock);
    next_ = std::exchange(all, this);
  }
  ~impl() {
    {
      std::lock_guard guard(all_lock);
      impl** link = &all;
      while (*link != nullptr && *link != this) link = &(*link)->next_;
      if (*link != nullptr) *link = next_;
    }
    stop();
  }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  int port() const noexcept { return socket_.port; }

  static void take_over_all() noexcept {
    const int self = getpid();
    std::lock_guard guard(all_lock);
    for (impl* i = all; i != nullptr; i = i->next_) {
      if (i->pid_ != self) i->take_over();
    }
  }

 private:
  // Accepted, and until there is a thread for it.
  struct waiting_client {
    int fd = -1;
    std::int64_t sent_ns = 0;  // when bytes of it were first seen; 0: none so far
  };
  // The threads, and what they share. In the child of a fork the parent's stays as it is: it may be locked.
  struct crew {
    std::mutex lock;  // guards waiting and stopping
    std::condition_variable wake;
    std::deque<waiting_client> waiting;
    bool stopping = false;
    std::vector<std::thread> threads;
    crew* of_parent = nullptr;
  };

  // parent: whose end is waited for before anything is served; 0: nobody's.
  void start_threads(crew* before, int parent = 0) {
    crew_ = new crew;
    crew_->of_parent = before;
    pid_ = getpid();
    signals_blocked blocked;
    crew_->threads.emplace_back([this, parent] {
      pthread_setname_np(pthread_self(), "stray-http");
      if (parent != 0 && !ends_soon(parent)) return give_up();
      listen();
    });
    for (int i = 0; i < request_threads; ++i) crew_->threads.emplace_back([this] { work(); });
  }

  void take_over() noexcept {
    const int parent = pid_;
    close(stop_fd_);  // the parent's too: it would be stopped with us
    stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    try {
      start_threads(crew_, parent);
    } catch (const std::exception& e) {
      base::say("stray: the child of a fork cannot serve: %s", e.what());
    }
  }

  // True once that process has ended; false after 5 s, or when the server is stopped.
  bool ends_soon(int process) noexcept {
    const int limit_ms = 5000;
    int fd = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
    if (fd >= 0) {
      pollfd fds[2] = {{fd, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
      int n = ::poll(fds, 2, limit_ms);
      close(fd);
      return n > 0 && fds[1].revents == 0;
    }
    for (int waited = 0; waited < limit_ms; waited += 20) {
      if (kill(process, 0) != 0 && errno == ESRCH) return true;
      pollfd stop = {stop_fd_, POLLIN, 0};
      if (::poll(&stop, 1, 20) > 0) return false;
    }
    return false;
  }

  void give_up() noexcept { close(std::exchange(socket_.fd, -1)); }

  void stop() noexcept {
    if (pid_ != getpid()) {  // the child of a fork: the threads are the parent's, and so is what they share
      close(socket_.fd);
      close(stop_fd_);
      return;
    }
    {
      std::lock_guard guard(crew_->lock);
      crew_->stopping = true;
    }
    std::uint64_t one = 1;
    if (::write(stop_fd_, &one, sizeof one) < 0) base::say("stray: cannot wake the HTTP threads");
    crew_->wake.notify_all();
    for (auto& t : crew_->threads) t.join();
    for (const waiting_client& w : crew_->waiting) close(w.fd);
    if (socket_.fd >= 0) close(socket_.fd);
    close(stop_fd_);
    delete crew_;
  }

  void listen() {
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
      std::lock_guard guard(crew_->lock);
      if (crew_->waiting.size() >= most_waiting) {
        close(fd);
        continue;
      }
      crew_->waiting.push_back({fd});
      crew_->wake.notify_one();
    }
  }

  void work() {
    pthread_setname_np(pthread_self(), "stray-http");
    for (;;) {
      waiting_client next;
      {
        std::unique_lock guard(crew_->lock);
        crew_->wake.wait(guard, [this] { return crew_->stopping || !crew_->waiting.empty(); });
        if (crew_->stopping) return;
        see_who_has_sent();
        next = crew_->waiting.front();
        crew_->waiting.pop_front();
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
    for (const waiting_client& w : crew_->waiting) fds[n++] = {w.fd, static_cast<short>(w.sent_ns == 0 ? POLLIN : 0), 0};
    if (::poll(fds, n, 0) <= 0) return;
    std::int64_t now = base::now_ns();
    n = 0;
    for (waiting_client& w : crew_->waiting)
      if ((fds[n++].revents & POLLIN) != 0) w.sent_ns = now;
  }

  // Waits for a request on a connection: 5 s, but when other connections wait for this thread 1 s for the first and no time for the next.
  bool next_request(connection& client, bool first) {
    using namespace std::chrono;
    auto start = steady_clock::now();
    while (!client.wait_for_bytes(50ms)) {
      std::lock_guard guard(crew_->lock);
      auto patience = crew_->waiting.empty() ? 5s : first ? 1s : 0s;
      if (crew_->stopping || steady_clock::now() - start >= patience) return false;
    }
    return true;
  }

  const handler answer_;
  listener socket_;
  int stop_fd_ = -1;
  std::unique_ptr<protocol> protocol_;
  crew* crew_ = nullptr;
  int pid_ = 0;  // whose threads they are
  impl* next_ = nullptr;

  static inline constinit base::spin_lock all_lock;
  static inline constinit impl* all = nullptr;
};

void take_over_servers() noexcept { http_server::take_over_all(); }
void http_server::take_over_all() noexcept { impl::take_over_all(); }

http_server::http_server(std::string_view address, handler answer)
    : impl_(std::make_unique<impl>(address, std::move(answer))) {}
http_server::~http_server() = default;
int http_server::port() const noexcept { return impl_->port(); }

}  // namespace stray::serve
