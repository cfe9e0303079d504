// Rejected: SO_REUSEPORT (a second process would get the port in silence), a queue of connections without bound, a thread for each client.
#include "serve/http.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/environment.h"
#include "base/format.h"
#include "base/printable.h"
#include "base/spin_lock.h"
#include "base/zeroed.h"
#include "runtime/service_thread.h"
#include "runtime/started.h"
#include "serve/address.h"
#include "serve/connection.h"
#include "serve/gate.h"
#include "serve/open_sockets.h"
#include "serve/request_head.h"

namespace stray::serve {

namespace {

constexpr int request_threads = 4, requests_per_connection = 100;
constexpr unsigned most_waiting = 64;
constexpr int high_number = 64;
constexpr std::int64_t silence_ns = 5'000'000'000, grace_ns = 50'000'000;

// Where a program that closes 3, 4, ... or expects them for its own does not look. The same descriptor when there is no room.
int raised(int fd) noexcept {
  rlimit limit{};
  if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 4 * high_number) return fd;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, high_number);
  if (high < 0) return fd;
  close(fd);
  return high;
}

int new_event() noexcept { return raised(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

// How many connections may wait, so that those of the program's own always find descriptors.
unsigned room_for_waiting() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return most_waiting;
  auto quarter = static_cast<unsigned>(std::min<rlim_t>(limit.rlim_cur / 4, most_waiting + request_threads));
  return std::max(quarter, request_threads + 1u) - request_threads;
}

// Or its end, or as many bytes as a usual one never has.
bool has_whole_head(int fd) noexcept {
  char bytes[4096];
  ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || n == sizeof bytes || (n > 0 && head_size({bytes, static_cast<std::size_t>(n)}) != 0);
}

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
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
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
  response r{status, {{"Content-Type", "text/plain; charset=utf-8"}}, {}};
  r.body = base::format("{} {}\n", status, reason(status));
  add_guard_headers(r);
  send(client, r, true, 0);
}

}  // namespace

class http_server::impl : public base::zeroed {
 public:
  impl(std::string_view address, handler answer, budget* paid)
      : answer_(std::move(answer)), budget_(paid), socket_(listen_on(address)) {
    socket_.fd = raised(socket_.fd);
    cookie_ = cookie_of(socket_.fd);
    setting("STRAY_PPROF_HOSTS", hosts_, sizeof hosts_);
    setting("STRAY_PPROF_TOKEN", token_, sizeof token_);
    refuse_empty_token();
    stop_fd_ = new_event();
    if (stop_fd_ < 0) {
      int error = errno;
      close(socket_.fd);
      remove_file_of(socket_);
      throw std::system_error(error, std::generic_category(), "stray: cannot serve: no event descriptor");
    }
    try {
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
    static const int registered = pthread_atfork(nullptr, nullptr, close_in_child);
    static_cast<void>(registered);
    // One that serves until the process ends is never destroyed.
    if (socket_.port == 0) {
      static const int at_end = std::atexit(remove_files);
      static_cast<void>(at_end);
    }
    std::lock_guard guard(all_lock);
    next_ = all;  // before it is in the list: a fork may come in between
    all = this;
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

  static void remove_files() noexcept {
    std::lock_guard guard(all_lock);
    for (impl* i = all; i != nullptr; i = i->next_)
      if (i->pid_ == getpid()) remove_file_of(i->socket_);
  }

  static void take_over_all() noexcept {
    const int self = getpid();
    std::lock_guard guard(all_lock);
    for (impl* i = all; i != nullptr; i = i->next_) {
      if (i->pid_ != self && i->inherited_) i->take_over();
    }
  }

  // In the child of a fork, which may never use us again. Only what may be done in a signal handler.
  static void close_in_child() noexcept {
    all_lock.free_in_child();
    for (impl* i = all; i != nullptr; i = i->next_) {
      i->clients_.close_copies();
      if (close_if_same(i->socket_.fd, i->cookie_)) i->inherited_ = true;
      i->socket_.fd = -1;
      i->socket_.inode = 0;  // the file is the parent's
    }
  }

 private:
  // Accepted, and until there is a thread for it.
  struct waiting_client {
    int fd = -1;
    std::int64_t sent_ns = 0;  // when bytes of it were first seen; 0: none so far
    std::int64_t accepted_ns = 0;
  };
  struct leaving {
    open_sockets& from;
    int fd;
    ~leaving() { from.remove(fd); }
  };
  // The threads, and what they share. In the child of a fork the parent's stays as it is: it may be locked.
  struct crew : base::zeroed {
    std::mutex lock;  // guards what follows
    std::condition_variable wake;
    waiting_client ring[most_waiting];
    unsigned first = 0, count = 0;
    bool stopping = false;
    pthread_t threads[1 + request_threads]{};
    int started = 0;
    crew* of_parent = nullptr;  // never read: what still leads to it for those who look for lost blocks

    waiting_client& waiting(unsigned i) noexcept { return ring[(first + i) % most_waiting]; }  // the i-th of those that wait
    // The oldest that has sent something, or nothing; `count`: there is none.
    unsigned oldest(bool with_bytes) noexcept {
      unsigned i = 0;
      while (i < count && (waiting(i).sent_ns != 0) != with_bytes) i++;
      return i;
    }
    waiting_client take(unsigned i) noexcept {
      waiting_client taken = waiting(i);
      for (; i + 1 < count; i++) waiting(i) = waiting(i + 1);
      count--;
      return taken;
    }
    void start(void* (*body)(void*), void* arg) {
      threads[started] = runtime::start_thread("stray-http", body, arg);
      started++;
    }
  };

  // parent: whose end is waited for before anything is served; 0: nobody's.
  void start_threads(crew* before, int parent = 0) {
    crew_ = new crew;
    crew_->of_parent = before;
    pid_ = getpid();
    parent_ = parent;
    crew_->start([](void* self) -> void* { return static_cast<impl*>(self)->lead(), nullptr; }, this);
    for (int i = 0; i < request_threads; ++i)
      crew_->start([](void* self) -> void* { return static_cast<impl*>(self)->work(), nullptr; }, this);
  }

  void setting(const char* name, char* out, std::size_t room) {
    const char* text = base::environment(name);
    if (text == nullptr) return;
    if (std::strlen(text) >= room) refuse_to_serve(E2BIG, base::format("stray: {} has more than {} bytes", name, room - 1));
    std::strcpy(out, text);
  }
  // Set and empty it is a mistake, as of a secret that was not found: to serve without one would open what its owner wanted closed.
  void refuse_empty_token() {
    const char* text = base::environment("STRAY_PPROF_TOKEN");
    if (text == nullptr || *text != '\0') return;
    refuse_to_serve(
        EINVAL,
        "stray: cannot serve: STRAY_PPROF_TOKEN is set but empty, and everyone could read; give it a token, or unset it "
        "to serve without one");
  }
  [[noreturn]] void refuse_to_serve(int error, const std::string& why) {
    close(socket_.fd);
    remove_file_of(socket_);
    throw std::system_error(error, std::generic_category(), why);
  }

  void lead() {
    if (parent_ != 0 && !is_bound_anew()) {
      inherited_ = false;
      return;
    }
    listen();
  }

  // Once the parent has ended. Another child of its may have a copy of the socket until it calls exec.
  bool is_bound_anew() noexcept {
    if (!ends_soon(parent_)) return false;
    int error = EADDRINUSE;
    for (int waited = 0; error == EADDRINUSE && waited < 5000; waited += 20) {
      if (waited != 0 && stops_within(20)) return false;
      error = bind_anew();
    }
    if (error == 0) return true;
    const std::string where = socket_.port != 0 ? base::format("port {}", socket_.port) : std::string(socket_.path);
    base::say("stray: the child of a fork cannot serve on %s: %s", where.c_str(), std::strerror(error));
    return false;
  }

  int bind_anew() noexcept {
    listener anew = socket_;
    if (int error = listen_again(anew); error != 0) return error;
    anew.fd = raised(anew.fd);
    std::lock_guard guard(all_lock);  // the end of the process may look for files
    cookie_ = cookie_of(anew.fd);
    socket_ = anew;
    inherited_ = false;
    return 0;
  }

  bool stops_within(int ms) const noexcept {
    pollfd stop = {stop_fd_, POLLIN, 0};
    return ::poll(&stop, 1, ms) > 0;
  }

  void take_over() noexcept {
    const int parent = pid_;
    close(stop_fd_);  // the parent's too: it would be stopped with us
    stop_fd_ = new_event();
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
      if (stops_within(20)) return false;
    }
    return false;
  }

  void close_client(int fd) noexcept {
    clients_.remove(fd);
    close(fd);
  }

  void stop() noexcept {
    if (pid_ != getpid()) {  // the child of a fork: the threads are the parent's, and so is what they share
      close_if_same(socket_.fd, cookie_);
      close(stop_fd_);
      return;
    }
    {
      std::lock_guard guard(crew_->lock);
      crew_->stopping = true;
    }
    std::uint64_t one = 1;
    if (!event_lost_ && ::write(stop_fd_, &one, sizeof one) < 0) base::say("stray: cannot wake the HTTP threads");
    crew_->wake.notify_all();
    for (int i = 0; i < crew_->started; i++) pthread_join(crew_->threads[i], nullptr);
    for (unsigned i = 0; i < crew_->count; i++) close_client(crew_->waiting(i).fd);
    remove_file_of(socket_);
    close_if_same(socket_.fd, cookie_);
    if (!event_lost_) close(stop_fd_);
    delete crew_;
  }

  // Accepts, and watches those that have sent nothing: they hold no thread.
  void listen() {
    runtime::service_thread ours;
    for (std::int64_t paid = base::thread_cpu_ns(); look_round();) {
      const std::int64_t now = base::thread_cpu_ns();
      rest(pay(now - std::exchange(paid, now), 0));
    }
  }

  // False: the end.
  bool look_round() {
    pollfd fds[2 + most_waiting] = {{socket_.fd, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    nfds_t n = 2;
    int timeout = -1;
    {
      std::lock_guard guard(crew_->lock);
      drop_silent(base::now_ns() - silence_ns, timeout);
      for (unsigned i = 0; i < crew_->count; i++)
        if (crew_->waiting(i).sent_ns == 0) fds[n++] = {crew_->waiting(i).fd, POLLIN, 0};
      if (is_full()) {
        constexpr int until_there_is_room_ms = 10;
        fds[0].events = 0;  // whoever comes now waits in the kernel's queue, in the order of coming
        timeout = until_there_is_room_ms;
      }
    }
    if (::poll(fds, n, timeout) < 0) return true;
    if ((fds[1].revents & (POLLNVAL | POLLERR)) != 0) return end_listening("event descriptor"), false;
    if (fds[1].revents != 0) return false;
    if (n > 2) {
      std::lock_guard guard(crew_->lock);
      see_who_has_sent();
    }
    if (fds[0].revents == 0) return true;
    if ((fds[0].revents & (POLLNVAL | POLLERR)) != 0 || cookie_of(socket_.fd) != cookie_) return end_listening("socket"), false;
    int fd = accept4(socket_.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 && socket_.port == 0 && !is_own_client(fd)) {
      close(fd);
    } else if (fd >= 0) {
      clients_.add(fd);
      admit(fd);
    } else if (errno == EBADF || errno == ENOTSOCK || errno == EINVAL) {
      return end_listening("socket"), false;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      stops_within(100);  // the client waits in the backlog; look again a little later
    }
    return true;
  }

  // With the lock held, as what follows.
  bool is_full() noexcept { return crew_->count >= room_for_waiting() && oldest_to_give_way() == crew_->count; }
  // The oldest that has sent nothing, or else the oldest without a whole head; count: there is none. Who has just come may be about to send.
  unsigned oldest_to_give_way() noexcept {
    const std::int64_t before = base::now_ns() - grace_ns;
    unsigned half = crew_->count;
    for (unsigned i = 0; i < crew_->count; i++) {
      const waiting_client& w = crew_->waiting(i);
      if (w.accepted_ns > before) continue;
      if (w.sent_ns == 0) return i;
      if (half == crew_->count && !has_whole_head(w.fd)) half = i;
    }
    return half;
  }

  // With the lock held: those that were accepted before then; timeout: until the next one, in ms.
  void drop_silent(std::int64_t before_ns, int& timeout) noexcept {
    for (unsigned i; (i = crew_->oldest(false)) < crew_->count;) {
      std::int64_t left = crew_->waiting(i).accepted_ns - before_ns;
      if (left > 0) {
        timeout = static_cast<int>(left / 1'000'000) + 1;
        return;
      }
      close_client(crew_->take(i).fd);
    }
  }

  void admit(int fd) {
    std::lock_guard guard(crew_->lock);
    if (crew_->count >= room_for_waiting()) {
      see_who_has_sent();  // it may have changed since is_full
      unsigned victim = oldest_to_give_way();
      close_client(victim < crew_->count ? crew_->take(victim).fd : std::exchange(fd, -1));
    }
    if (fd >= 0) crew_->waiting(crew_->count++) = {fd, 0, base::now_ns()};
  }

  // What has its number by now may be somebody else's.
  void end_listening(const char* what) noexcept {
    base::say("stray: the program has closed the %s of /debug/pprof, which is served no longer", what);
    if (*what == 'e') event_lost_ = true;
    close_if_same(socket_.fd, cookie_);
    socket_.fd = -1;
  }

  void work() {
    runtime::service_thread ours;
    for (;;) {
      waiting_client next;
      {
        std::unique_lock guard(crew_->lock);
        crew_->wake.wait(guard, [this] { return crew_->stopping || crew_->oldest(true) < crew_->count; });
        if (crew_->stopping) return;
        see_who_has_sent();
        next = crew_->take(next_to_serve());
      }
      rest(serve_all(next));
    }
  }

  // The requests of one connection; how long the thread rests then.
  std::int64_t serve_all(const waiting_client& next) {
    connection client(next.fd, stop_fd_);
    const leaving before_its_close{clients_, next.fd};
    try {
      for (int i = 1; i == 1 || next_request(client); ++i) {
        const std::int64_t began = base::thread_cpu_ns();
        std::int64_t answering = 0;
        bool more = serve(client, i == 1 ? next.sent_ns : base::now_ns(), requests_per_connection - i, answering);
        std::int64_t to_rest = pay(base::thread_cpu_ns() - began, answering);
        if (!more) return to_rest;
        rest(to_rest);
      }
    } catch (const std::exception& e) {
      base::say("stray: an HTTP request failed: %s", base::printable(e.what()).c_str());
    }
    return 0;
  }

  // answering: the part that is paid already.
  std::int64_t pay(std::int64_t took_ns, std::int64_t answering_ns) noexcept {
    if (budget_ == nullptr) return 0;
    const std::int64_t now = base::now_ns();
    budget_->pay(now, took_ns - answering_ns);
    return budget_->rest_ns(now, took_ns, request_threads + 1);
  }
  // Wakes when the server stops.
  void rest(std::int64_t ns) const noexcept {
    if (ns > 0) stops_within(static_cast<int>(ns / 1'000'000) + 1);
  }

  // With the lock held, as the next: of those that have sent something the oldest whose head is whole, or is not; count: there is none.
  unsigned oldest_with_head(bool whole) noexcept {
    unsigned i = 0;
    while (i < crew_->count && (crew_->waiting(i).sent_ns == 0 || has_whole_head(crew_->waiting(i).fd) != whole)) i++;
    return i;
  }
  // Who sends a head bit by bit is served when there is nobody else.
  unsigned next_to_serve() noexcept {
    unsigned whole = oldest_with_head(true);
    return whole < crew_->count ? whole : crew_->oldest(true);
  }

  bool others_wait() {
    std::lock_guard guard(crew_->lock);
    return crew_->stopping || crew_->oldest(true) < crew_->count;
  }

  // One request and its answer; false when the connection must end.
  // answering: the time that answer_ took of the processor.
  bool serve(connection& client, std::int64_t sent_ns, int left, std::int64_t& answering) {
    std::string_view head = client.read_head([this] { return others_wait(); });
    if (head.empty()) {
      if (client.too_large()) refuse(client, 431);
      return false;
    }
    request_head in;
    if (int status = parse_head(head, in); status != 200) {
      refuse(client, status);
      return false;
    }
    auto answer = turned_away(in, socket_.loopback && socket_.port != 0, socket_.host, hosts_);
    if (!answer) answer = without_token(in, token_);
    if (answer) {
      send(client, *answer, in.method != "HEAD", 0);
      return false;
    }
    wait_function wait = [&client](std::chrono::seconds time) { return client.linger(time); };
    const std::int64_t began = base::thread_cpu_ns();
    response r = answer_({in.method, in.target, sent_ns, wait});
    answering = base::thread_cpu_ns() - began;
    // An unread body would be taken for the next request. Who has been answered goes to the end of the line.
    if (!in.keep_alive || in.has_body || others_wait()) left = 0;
    return send(client, r, in.method != "HEAD", left) && left != 0;
  }

  // Also before each request is served, so that those that wait may share what is found for it. With the lock held.
  void see_who_has_sent() noexcept {
    pollfd fds[most_waiting];
    for (unsigned i = 0; i < crew_->count; i++) {
      const waiting_client& w = crew_->waiting(i);
      fds[i] = {w.sent_ns == 0 ? w.fd : -1, POLLIN, 0};
    }
    if (::poll(fds, crew_->count, 0) <= 0) return;
    std::int64_t now = base::now_ns();
    for (unsigned i = 0; i < crew_->count; i++) {
      if (fds[i].revents == 0) continue;
      crew_->waiting(i).sent_ns = now;
      crew_->wake.notify_one();
    }
  }

  // Waits for another request on a connection: 5 s, but no time when other requests wait for this thread.
  bool next_request(connection& client) {
    using namespace std::chrono;
    auto start = steady_clock::now();
    while (!client.wait_for_bytes(50ms))
      if (others_wait() || steady_clock::now() - start >= 5s) return false;
    return true;
  }

  const handler answer_;
  budget* const budget_;
  listener socket_;
  char hosts_[256] = {}, token_[256] = {};  // STRAY_PPROF_HOSTS, STRAY_PPROF_TOKEN
  std::uint64_t cookie_ = 0;
  open_sockets clients_;
  bool inherited_ = false;               // by the child of a fork, which has not bound it anew
  std::atomic<bool> event_lost_{false};  // the program has closed it
  int stop_fd_ = -1;
  crew* crew_ = nullptr;
  int pid_ = 0;     // whose threads they are
  int parent_ = 0;  // who is waited for before anything is served
  impl* next_ = nullptr;

  static inline constinit base::spin_lock all_lock;
  static inline constinit impl* all = nullptr;
};

void http_server::take_over_all() noexcept { impl::take_over_all(); }

http_server::http_server(std::string_view address, handler answer, budget* paid)
    : impl_(std::make_unique<impl>(address, std::move(answer), paid)) {}
http_server::~http_server() = default;
int http_server::port() const noexcept { return impl_->port(); }

}  // namespace stray::serve
