#include "trace/task_list.h"

#include <cerrno>

namespace stray::trace {

namespace sys = base::sys;

namespace {

// Reads /proc/self/task/<tid>/<file>; the number of bytes, or < 0.
long read_task(int tid, const char* file, char* to, std::size_t room) noexcept {
  char path[64];
  text p(path, sizeof path);
  p << "/proc/self/task/";
  p.dec(static_cast<std::uint64_t>(tid)) << "/" << file;
  int fd = sys::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  long n = sys::read(fd, to, room - 1);
  sys::close(fd);
  to[n > 0 ? n : 0] = 0;
  return n;
}

}  // namespace

bool look_at_task(int tid, task_look& out) noexcept {
  char line[512];
  long n_read = read_task(tid, "stat", line, sizeof line);
  if (n_read == 0 || n_read == -ENOENT || n_read == -ESRCH) return false;
  if (n_read < 0) {
    out.state = '?';
    return true;
  }
  const char* open = line;
  while (*open != 0 && *open != '(') open++;
  const char* close = nullptr;
  for (const char* p = open; *p != 0; p++) {
    if (*p == ')') close = p;
  }
  if (close == nullptr) return false;
  std::size_t n = 0;
  for (const char* p = open + 1; p < close && n + 1 < sizeof out.name; p++) out.name[n++] = *p;
  out.name[n] = 0;
  const char* p = close + 2;
  out.state = *p;
  for (int field = 3; field < 9 && *p != 0; field++) {  // to field 9, the flags
    while (*p != 0 && *p != ' ') p++;
    if (*p == ' ') p++;
  }
  std::uint64_t flags = take_dec(p);
  out.kernel_worker = (flags & (0x10 | 0x4000)) != 0;  // PF_IO_WORKER, PF_USER_WORKER
  return true;
}

bool task_blocks(int tid, int signal) noexcept {
  char status[4096];
  if (read_task(tid, "status", status, sizeof status) <= 0) return false;
  for (const char* p = status; *p != 0; p++) {
    if (!starts_with(p, "\nSigBlk:\t")) continue;
    p += 9;
    return (take_hex(p) >> (signal - 1) & 1) != 0;
  }
  return false;
}

}  // namespace stray::trace
