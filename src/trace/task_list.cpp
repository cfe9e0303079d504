#include "trace/task_list.h"

#include <cerrno>

namespace stray::trace {

namespace sys = base::sys;

namespace {

// Reads /proc/self/task/<tid>/<file>, or that of process `pid`; the number of bytes, or < 0.
long read_task(int tid, const char* file, char* to, std::size_t room, int pid = 0) noexcept {
  char path[64];
  text p(path, sizeof path);
  p << "/proc/";
  pid == 0 ? p << "self" : p.dec(static_cast<std::uint64_t>(pid));
  p << "/task/";
  p.dec(static_cast<std::uint64_t>(tid)) << "/" << file;
  int fd = sys::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  long n = sys::read(fd, to, room - 1);
  sys::close(fd);
  to[n > 0 ? n : 0] = 0;
  return n;
}

}  // namespace

bool look_at_task(int tid, task_look& out) noexcept { return look_at_task_of(0, tid, out); }

bool look_at_task_of(int pid, int tid, task_look& out) noexcept {
  char line[512];
  long n_read = read_task(tid, "stat", line, sizeof line, pid);
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

namespace {

bool sleeps(char state) noexcept { return state == 'S' || state == 'D' || state == 'T' || state == 't'; }

// Time on the processor, time waiting for one, number of slices.
bool read_schedstat(int tid, std::uint64_t (&out)[3]) noexcept {
  char line[96];
  if (read_task(tid, "schedstat", line, sizeof line) <= 0) return false;
  const char* p = line;
  for (int field = 0; field < 3; field++) {
    out[field] = take_dec(p);
    if (field != 2 && *p++ != ' ') return false;
  }
  return true;
}

bool read_slices(int tid, std::uint64_t& out) noexcept {
  std::uint64_t all[3];
  if (!read_schedstat(tid, all)) return false;
  out = all[2];
  return true;
}

}  // namespace

bool time_on_processor(int tid, std::uint64_t& ns) noexcept {
  std::uint64_t all[3];
  if (!read_schedstat(tid, all)) return false;
  ns = all[0];
  return true;
}

bool look_at_sleep(int tid, task_sleep& out) noexcept {
  out = {};
  task_look look;
  if (!read_slices(tid, out.slices) || !look_at_task(tid, look)) return false;
  if (!sleeps(look.state)) return true;
  // "NUMBER 6 arguments SP PC"; "-1 SP PC" outside a call; "running" unless the kernel has seen it off the processor.
  char line[256];
  long n = read_task(tid, "syscall", line, sizeof line);
  if (n <= 0) return false;
  std::uint64_t last[2] = {0, 0};
  int fields = 0;
  for (const char* p = line; *p != 0 && *p != '\n'; fields++) {
    bool hex = starts_with(p, "0x");
    if (hex) p += 2;
    last[0] = last[1];
    last[1] = hex ? take_hex(p) : 0;
    while (*p != 0 && *p != ' ' && *p != '\n') p++;
    while (*p == ' ') p++;
  }
  out.asleep = fields == 9 || fields == 3;
  if (!out.asleep) return true;
  const char* number = line;
  if (fields == 9) out.call = static_cast<int>(take_dec(number));
  out.sp = last[0];
  out.pc = last[1];
  return true;
}

bool slept_on(int tid, const task_sleep& before) noexcept {
  std::uint64_t now = 0;
  task_look look;
  return before.asleep && look_at_task(tid, look) && sleeps(look.state) && read_slices(tid, now) && now == before.slices;
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

awaits task_awaits(int tid, int signal) noexcept {
  char line[256];
  if (read_task(tid, "syscall", line, sizeof line) <= 0) return awaits::no;
  if (starts_with(line, "running")) return awaits::unknown;
  const char* p = line;
  if (take_dec(p) != SYS_rt_sigtimedwait || !starts_with(p, " 0x")) return awaits::no;
  p += 3;
  std::uint64_t at = take_hex(p), set = 0;
  int mem = sys::open("/proc/thread-self/mem", O_RDONLY | O_CLOEXEC);  // the thread may leave meanwhile, and its stack with it
  if (mem < 0) return awaits::yes;
  long n = sys::pread(mem, &set, sizeof set, at);
  sys::close(mem);
  return n != sizeof set || (set >> (signal - 1) & 1) != 0 ? awaits::yes : awaits::no;
}

}  // namespace stray::trace
