#include "trace/open_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/syscalls.h"
#include "trace/text.h"

namespace stray::trace {
namespace {

namespace sys = base::sys;

// f(fd, target) for each number that there may be, asked for one by one: for when there is no descriptor for a listing.
template <class F>
void each_number(F f) noexcept {
  constexpr std::uint64_t least = 4096;  // some may lie above a limit that was lowered
  rlimit limit{least, least};
  sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys::arg(&limit));
  char path[32], target[64];
  for (std::uint64_t fd = 0; fd < std::max<std::uint64_t>(limit.rlim_cur, least); fd++) {
    (text(path, sizeof path) << "/proc/thread-self/fd/").dec(fd);
    long length = sys::call(SYS_readlink, sys::arg(path), sys::arg(target), sizeof target - 1);
    if (length <= 0) continue;
    target[length] = 0;
    f(static_cast<int>(fd), target);
  }
}

// f(fd, target) for each descriptor.
template <class F>
void each_open_file(F f) noexcept {
  int folder = sys::open("/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder == -EMFILE || folder == -ENFILE) return each_number(f);
  if (folder < 0) return;
  alignas(8) char buffer[8192];
  char target[64];
  long n;
  while ((n = sys::call(SYS_getdents64, folder, sys::arg(buffer), sizeof buffer)) > 0) {
    for (long at = 0; at < n;) {
      const char* entry = buffer + at;
      at += *reinterpret_cast<const std::uint16_t*>(entry + 16);
      const char* name = entry + 19;
      if (*name == '.') continue;
      long length = sys::call(SYS_readlinkat, folder, sys::arg(name), sys::arg(target), sizeof target - 1);
      if (length <= 0) continue;
      target[length] = 0;
      f(static_cast<int>(take_dec(name)), target);
    }
  }
  sys::close(folder);
}

}  // namespace

open_files look_at_open_files() noexcept {
  open_files seen;
  each_open_file([&](int fd, const char* target) {
    if (starts_with(target, "anon_inode:[userfaultfd]")) seen.userfaultfd = true;
    if (*target != '/') return;  // O_DIRECT of a pipe means packets
    long flags = sys::call(SYS_fcntl, fd, F_GETFL);
    if (flags >= 0 && (flags & O_DIRECT) != 0) seen.direct_io = true;
  });
  return seen;
}

bool fork_spares_direct_io(const char* release) noexcept {
  std::uint64_t major = take_dec(release);
  if (*release != 0) release++;
  std::uint64_t minor = take_dec(release);
  return major > 6 || (major == 6 && minor >= 5);
}

bool fork_spares_direct_io() noexcept {
  utsname name;
  return sys::call(SYS_uname, sys::arg(&name)) == 0 && fork_spares_direct_io(name.release);
}

void close_files_of(long pid) noexcept {
  char folder[32];
  text t(folder, sizeof folder);
  t << "/proc/";
  t.dec(static_cast<std::uint64_t>(pid)) << "/";
  each_open_file([&](int fd, const char* target) {
    if (starts_with(target, folder)) sys::close(fd);
  });
}

}  // namespace stray::trace
