#include "trace/kernel_words.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/read_file.h"
#include "base/syscalls.h"
#include "trace/proc_name.h"
#include "trace/seccomp.h"
#include "trace/time_budget.h"

namespace stray::trace {

namespace sys = base::sys;

namespace {

constexpr std::int64_t budget_ns = 20'000'000;
constexpr std::size_t most_bytes = std::size_t{4} << 20;
constexpr std::size_t reading = 64 << 10;  // room for text of /proc, and to find out that a message is longer than what is left
constexpr std::size_t dense = 8, dense_room = 1024;  // fewer numbers than that for each open descriptor
constexpr int peek_off = 42;                         // SO_PEEK_OFF

long get_option(int fd, int option, int& value) noexcept {
  unsigned size = sizeof value;
  return sys::call(SYS_getsockopt, fd, SOL_SOCKET, option, sys::arg(&value), sys::arg(&size));
}
long set_option(int fd, int option, int value) noexcept {
  return sys::call(SYS_setsockopt, fd, SOL_SOCKET, option, sys::arg(&value), sizeof value);
}
// Of an epoll -ENOENT, of anything else -EINVAL.
long forget(int poller, int never_added) noexcept {
  return sys::call(SYS_epoll_ctl, poller, 2 /* EPOLL_CTL_DEL */, never_added, 0);
}
// Bytes that could be read; < 0: none can.
long waiting(int fd) noexcept {
  int bytes = 0;
  long r = sys::call(SYS_ioctl, fd, FIONREAD, sys::arg(&bytes));
  return r < 0 ? r : bytes;
}
long peek(int fd, char* to, std::size_t bytes) noexcept {
  return sys::call(SYS_recvfrom, fd, sys::arg(to), static_cast<long>(bytes), MSG_PEEK | MSG_DONTWAIT, 0, 0);
}
long duplicate(int from, int to, long bytes) noexcept { return sys::call(SYS_tee, from, to, bytes, 2 /* SPLICE_F_NONBLOCK */); }

template <class F>
void each_line(int fd, char* buffer, F f) noexcept {  // f(const char*) answers whether it wants more
  char line[256];
  std::size_t length = 0;
  long n;
  while ((n = sys::read(fd, buffer, reading)) > 0 || n == -EINTR) {
    for (long i = 0; i < n; i++) {
      if (buffer[i] == '\n') {
        line[length] = 0;
        length = 0;
        if (!f(static_cast<const char*>(line))) return;
      } else if (length + 1 < sizeof line) {
        line[length++] = buffer[i];
      }
    }
  }
}

// The number behind `name` in a file of /proc; 0: none.
std::uint64_t number_in(const char* file, const char* name, char* buffer) noexcept {
  return base::read_file(file, buffer, reading) ? number_after(buffer, name) : 0;
}

template <class F>
bool each_entry(int folder, F f) noexcept {  // f(int) answers whether it wants more; false: there is no listing
  alignas(8) char buffer[8192];
  long n;
  while ((n = sys::call(SYS_getdents64, folder, sys::arg(buffer), sizeof buffer)) > 0) {
    for (long at = 0; at < n;) {
      const char* name = buffer + at + 19;
      at += *reinterpret_cast<const std::uint16_t*>(buffer + at + 16);
      if (*name != '.' && !f(static_cast<int>(take_dec(name)))) return true;
    }
  }
  return n == 0;
}

// All that take() will ask.
bool ask_all(void* arg) noexcept {
  const int* pipe = static_cast<const int*>(arg);
  int scratch = 0;
  char byte = 0;
  sys::call(SYS_fcntl, -1, F_GETPIPE_SZ);
  sys::call(SYS_fcntl, -1, F_SETPIPE_SZ, 4096);
  sys::call(SYS_fcntl, -1, F_GETFL);
  waiting(-1);
  duplicate(pipe[0], pipe[1], 1);
  get_option(-1, SO_DOMAIN, scratch);
  set_option(-1, peek_off, -1);
  peek(-1, &byte, 1);
  forget(-1, pipe[0]);
  pollfd nothing{-1, 0, 0};
  sys::call(SYS_poll, sys::arg(&nothing), 1, 0);
  return true;
}

// Under a filter, which may answer anything: are objects of our own seen as what they are? One that cannot be made says nothing.
class canaries {
 public:
  bool told(const int* copy) noexcept { return of_pipe(copy) && of_socket() && of_epoll(copy); }

 private:
  struct pair {
    int fd[2] = {-1, -1};
    ~pair() {
      for (int one : fd) {
        if (one >= 0) sys::close(one);
      }
    }
  };
  static constexpr char word[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  static bool is_word(const char* text) noexcept {
    for (std::size_t i = 0; i < sizeof word; i++) {
      if (text[i] != word[i]) return false;
    }
    return true;
  }
  static bool write(int fd) noexcept { return sys::call(SYS_write, fd, sys::arg(word), sizeof word) == sizeof word; }

  static bool of_pipe(const int* copy) noexcept {
    pair p;
    char text[sizeof word] = {};
    if (copy[0] < 0 || sys::call(SYS_pipe2, sys::arg(p.fd), O_CLOEXEC | O_NONBLOCK) != 0 || !write(p.fd[1])) return true;
    const long mode = sys::call(SYS_fcntl, p.fd[0], F_GETFL), writes = sys::call(SYS_fcntl, p.fd[1], F_GETFL);
    return sys::call(SYS_fcntl, p.fd[0], F_GETPIPE_SZ) > 0 && mode >= 0 && (mode & O_ACCMODE) == O_RDONLY && writes >= 0 &&
           (writes & O_ACCMODE) == O_WRONLY && waiting(p.fd[0]) == sizeof word &&
           duplicate(p.fd[0], copy[1], sizeof word) == sizeof word && sys::read(copy[0], text, sizeof text) == sizeof text &&
           is_word(text);
  }
  static bool of_socket() noexcept {
    pair s;
    int value = -1;
    char text[sizeof word] = {};
    if (sys::call(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sys::arg(s.fd)) != 0 ||
        !write(s.fd[1]))
      return true;
    pollfd p{s.fd[0], POLLIN, 0};
    return sys::call(SYS_fcntl, s.fd[0], F_GETPIPE_SZ) == -EBADF && get_option(s.fd[0], SO_DOMAIN, value) == 0 &&
           value == AF_UNIX && get_option(s.fd[0], SO_ACCEPTCONN, value) == 0 && value == 0 &&
           get_option(s.fd[0], SO_TYPE, value) == 0 && value == SOCK_STREAM && waiting(s.fd[0]) == sizeof word &&
           peek(s.fd[0], text, sizeof text) == sizeof text && is_word(text) && sys::call(SYS_poll, sys::arg(&p), 1, 0) == 1;
  }
  static bool of_epoll(const int* copy) noexcept {
    pair e;
    int value = 0;
    e.fd[0] = static_cast<int>(sys::call(SYS_epoll_create1, O_CLOEXEC));
    if (e.fd[0] < 0 || copy[0] < 0) return true;
    return sys::call(SYS_fcntl, e.fd[0], F_GETPIPE_SZ) == -EBADF && get_option(e.fd[0], SO_DOMAIN, value) == -ENOTSOCK &&
           forget(e.fd[0], copy[0]) == -ENOENT && forget(copy[1], copy[0]) == -EINVAL;
  }
};

}  // namespace

// One pass over all descriptors.
struct kernel_words::run {
  kernel_words& self;
  bump& memory;
  unsigned off;
  list<saved_span>& out;
  note_log& notes;
  const memory_map& map;
  doubt_log& doubts;
  int folder = -1;
  std::size_t used = 0;
  time_budget budget{budget_ns}, epoll_budget{budget_ns}, files_budget{budget_ns / 2};
  bool all_files = true;  // are looked at

  bool is_off(root r) const noexcept { return (off & bit(r)) != 0; }
  char* next() const noexcept { return self.room_ + used; }
  std::size_t left() const noexcept { return most_bytes - used; }
  char* text_room() const noexcept { return self.room_ + most_bytes; }

  void keep(std::size_t bytes, root what) noexcept {
    auto at = reinterpret_cast<std::uintptr_t>(next());
    if (bytes != 0 && !out.push(memory, {0, bytes, at, what})) self.blind_++;
    used += (bytes + 7) & ~std::size_t{7};
  }
  void not_read(const char* what, int fd, const char* why) noexcept {
    self.blind_++;
    text line = notes.add();
    line << what << " (descriptor ";
    line.dec(static_cast<std::uint64_t>(fd)) << ") was not read: " << why;
  }
  static constexpr const char* too_much = "4 MiB were read from pipes, sockets and epoll entries";

  static constexpr const char* refused = "a system call was refused";

  void pipe(int fd, long size) noexcept {
    const long bytes = waiting(fd), flags = sys::call(SYS_fcntl, fd, F_GETFL);
    if (bytes < 0 || flags < 0) return not_read("pipe", fd, refused);
    if (bytes == 0 || (flags & O_ACCMODE) == O_WRONLY) return;
    if (self.pipe_[0] < 0) return not_read("pipe", fd, "no descriptor is free");
    if (static_cast<std::size_t>(bytes) > left()) return not_read("pipe", fd, too_much);
    if (size > sys::call(SYS_fcntl, self.pipe_[1], F_GETPIPE_SZ)) sys::call(SYS_fcntl, self.pipe_[1], F_SETPIPE_SZ, size);
    long copied = duplicate(fd, self.pipe_[1], bytes);
    if (copied == -EINVAL) return;  // one of the kernel's own: nobody writes into it
    std::size_t got = 0;
    for (long n; copied > 0 && (n = sys::read(self.pipe_[0], next() + got, left() - got)) > 0;)
      got += static_cast<std::size_t>(n);
    if (got < static_cast<std::size_t>(bytes)) not_read("pipe", fd, "it could not be duplicated as a whole");
    keep(got, root::pipes);
  }

  bool shut(int fd) noexcept {
    pollfd p{fd, POLLRDHUP, 0};
    return sys::call(SYS_poll, sys::arg(&p), 1, 0) == 1 && (p.revents & POLLRDHUP) != 0;
  }

  void unix_socket(int fd) noexcept {
    int value = 0, offset = -1;
    if (get_option(fd, SO_ACCEPTCONN, value) != 0) return not_read("unix socket", fd, refused);
    if (value != 0) {
      pollfd p{fd, POLLIN, 0};
      if (sys::call(SYS_poll, sys::arg(&p), 1, 0) != 0)
        not_read("unix socket", fd, "what was sent on a connection not yet accepted");
      return;
    }
    get_option(fd, peek_off, offset);
    get_option(fd, SO_TYPE, value);
    const bool counted = value != SOCK_DGRAM;  // the kernel says how many bytes wait, and not only in the first message
    long n = 0;
    if (offset < 0) {
      n = peek(fd, next(), left());
      if (n == -EAGAIN || n == -ENOTCONN || n == -EINVAL || n == -ECONNRESET) return;  // nothing to read
      if (n < 0) return not_read("unix socket", fd, refused);
      if (counted && n == waiting(fd)) return keep(static_cast<std::size_t>(n), root::sockets);
    }
    // Message by message: only an offset for peeking leads behind the first one.
    if (set_option(fd, peek_off, 0) != 0) return not_read("unix socket", fd, "SO_PEEK_OFF is refused");
    std::size_t got = 0;
    for (;;) {
      n = peek(fd, got < left() ? next() + got : text_room(), got < left() ? left() - got : 1);
      if (n < 0 || (n == 0 && shut(fd))) break;
      if (got == left() || budget.spent()) {
        not_read("unix socket", fd, got == left() ? too_much : "20 ms were spent on descriptors");
        break;
      }
      got += static_cast<std::size_t>(n);
    }
    set_option(fd, peek_off, offset);
    if (counted && n <= 0 && static_cast<long>(got) < waiting(fd))
      not_read("unix socket", fd, "it could not be peeked as a whole");
    keep(got, root::sockets);
  }

  bool is_epoll(int fd) noexcept {
    const long answer = self.pipe_[0] >= 0 ? forget(fd, self.pipe_[0]) : -EBADF;
    if (answer == -ENOENT || answer == -EINVAL) return answer == -ENOENT;
    char target[32];
    proc_name name("/proc/thread-self/fd/", fd);
    long length = sys::call(SYS_readlink, sys::arg(name.path), sys::arg(target), sizeof target - 1);
    if (length < 0) not_read("what may be an epoll", fd, refused);
    target[length < 0 ? 0 : length] = 0;
    return starts_with(target, "anon_inode:[eventpoll]");
  }
  void epoll(int fd) noexcept {
    proc_name name("/proc/thread-self/fdinfo/", fd);
    int info = sys::open(name.path, O_RDONLY | O_CLOEXEC);
    if (info < 0) return not_read("epoll", fd, "its /proc/self/fdinfo cannot be opened");
    budget.stop();
    epoll_budget.go_on();
    std::size_t got = 0;
    const char* why = nullptr;
    each_line(info, text_room(), [&](const char* p) {
      if (!starts_with(p, "tfd:")) return true;
      while (*p != 0 && !starts_with(p, "data:")) p++;
      if (*p == 0) return true;
      for (p += 5; *p == ' ';) p++;
      std::uint64_t word = take_hex(p);
      if (got + 8 > left()) why = too_much;
      if (epoll_budget.spent()) why = "20 ms were spent on epoll entries";
      if (why != nullptr) return false;
      *reinterpret_cast<std::uint64_t*>(next() + got) = word;
      got += 8;
      return true;
    });
    sys::close(info);
    epoll_budget.stop();
    budget.go_on();
    if (why != nullptr) not_read("epoll", fd, why);
    keep(got, root::epoll);
  }

  void descriptor(int fd) noexcept {
    if (fd == folder || fd == self.pipe_[0] || fd == self.pipe_[1]) return;
    int domain = 0;
    const long size = sys::call(SYS_fcntl, fd, F_GETPIPE_SZ);
    if (size > 0) {
      if (!is_off(root::pipes)) pipe(fd, size);
      return;
    }
    if (size != -EBADF) return not_read("what may be a pipe", fd, refused);  // so says the kernel of all that is none
    const long answer = get_option(fd, SO_DOMAIN, domain);
    if (answer == 0) {
      if (domain == AF_UNIX && !is_off(root::sockets)) unix_socket(fd);
    } else if (answer != -ENOTSOCK) {
      if (answer != -EBADF)
        not_read("what may be a socket", fd, refused);  // else there is no such descriptor, or it is a mere name
    } else if (is_epoll(fd)) {
      if (!is_off(root::epoll)) epoll(fd);
    } else {
      other(fd);
    }
  }
  void other(int fd) noexcept {
    if (!all_files) return;
    std::size_t bytes = 0;
    budget.stop();
    files_budget.go_on();
    auto found = self.written_.look(fd, map, memory, text_room(), reading, doubts, bytes);
    all_files = !files_budget.spent();
    if (!all_files) self.written_.too_many(doubts);
    files_budget.stop();
    budget.go_on();
    if (found != written_files::verdict::read_it || is_off(root::files)) return;
    std::size_t got = 0;
    for (long n; bytes <= left() && (n = sys::pread(fd, next() + got, left() - got, got)) > 0;)
      got += static_cast<std::size_t>(n);
    if (got < bytes) return self.written_.too_large(fd, doubts);
    keep(got, root::files);
  }
  bool in_time(int fd) noexcept {
    if (!budget.spent()) return true;
    not_read("what comes behind", fd, "20 ms were spent on descriptors");
    return false;
  }

  void descriptors() noexcept {
    std::uint64_t numbers = number_in("/proc/thread-self/status", "FDSize:", text_room());
    if (numbers != 0 && numbers < dense_room + dense * self.open_) {  // asking each number is quicker than a listing
      for (int fd = 0; static_cast<std::uint64_t>(fd) < numbers && (fd % 32 != 0 || in_time(fd)); fd++) descriptor(fd);
      return;
    }
    folder = sys::open("/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool listed = each_entry(folder, [&](int fd) {
      descriptor(fd);
      return in_time(fd);
    });
    if (folder >= 0) sys::close(folder);
    if (listed) return;
    self.blind_++;
    notes.add() << "pipes, sockets and epoll entries were not read: /proc/self/fd cannot be read";
  }

  // A kernel without CONFIG_CHECKPOINT_RESTORE has no such file, and then nobody can say whether there are timers.
  void timers() noexcept {
    int fd = sys::open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    std::size_t got = 0;
    bool full = false;
    each_line(fd, text_room(), [&](const char* p) {
      if (!starts_with(p, "signal:")) return true;
      while (*p != 0 && *p != '/') p++;
      if (*p != 0) p++;
      full = got + 8 > left();
      if (full) return false;
      *reinterpret_cast<std::uint64_t*>(next() + got) = take_hex(p);
      got += 8;
      return true;
    });
    sys::close(fd);
    if (full) {
      self.blind_++;
      notes.add() << "POSIX timers were not read: " << too_much;
    }
    keep(got, root::posix_timers);
  }
};

void kernel_words::drop() noexcept {
  for (int& fd : pipe_) {
    if (fd >= 0) sys::close(fd);
    fd = -1;
  }
}

void kernel_words::look(bump& memory) noexcept {
  drop();  // a stop that failed left them
  blind_ = 0;
  room_ = static_cast<char*>(memory.take(most_bytes + reading, 64));
  if (sys::call(SYS_pipe2, sys::arg(pipe_), O_CLOEXEC | O_NONBLOCK) != 0) pipe_[0] = pipe_[1] = -1;
  why_not_ = room_ == nullptr ? "no memory for the copy" : nullptr;
  if (why_not_ != nullptr) return;
  open_ = 0;
  int folder = sys::open("/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  each_entry(folder, [&](int) { return ++open_ != 0; });
  if (folder >= 0) sys::close(folder);
  static std::uint64_t tried = 0;  // with so many filters
  static bool survived = true, told = true;
  std::uint64_t filters = seccomp_filters();
  if (filters != tried) {
    survived = filters == 0 || survives(ask_all, pipe_);
    told = filters == 0 || !survived || canaries().told(pipe_);
  }
  tried = filters;
  if (!survived) why_not_ = "a seccomp filter kills for it";
  if (!told) why_not_ = "a seccomp filter does not let them be told from others";
}

void kernel_words::take(bump& memory, const memory_map& map, unsigned off, list<saved_span>& out, note_log& notes,
                        doubt_log& doubts) noexcept {
  written_.clear();
  if (why_not_ != nullptr) {
    blind_++;
    notes.add() << "pipes, sockets and epoll entries were not read: " << why_not_;
  } else {
    run now{*this, memory, off, out, notes, map, doubts};
    now.descriptors();
    written_.look_at_mappings(map, doubts);
    if (!now.is_off(root::posix_timers)) now.timers();
  }
  drop();
}

}  // namespace stray::trace
