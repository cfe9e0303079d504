#include "trace/seccomp.h"

#include <cerrno>
#include <csignal>
#include <sched.h>
#include <sys/wait.h>

#include "base/read_file.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "trace/text.h"

namespace stray::trace {

namespace sys = base::sys;

namespace {
constexpr long untraced = 0x00800000 /* CLONE_UNTRACED */, wait_all = 0x40000000 /* __WALL */;
}

std::uint64_t seccomp_filters() noexcept {
  char status[8192];
  if (!base::read_file("/proc/thread-self/status", status, sizeof status)) return 1;
  return number_after(status, "Seccomp:") == 0 ? 0 : 1 + number_after(status, "Seccomp_filters:");
}

long clone_process() noexcept {
  volatile int own = 0;  // the kernel writes it in the copy only; getpid may be refused as well
  const long pid = sys::call(SYS_clone, CLONE_FILES | CLONE_CHILD_SETTID | untraced, 0, 0, sys::arg(&own), 0);
  return pid == 0 && own == 0 ? -ENOSYS : pid;
}

bool survives(bool (*ask)(void* arg) noexcept, void* arg) noexcept {
  const long pid = clone_process();
  if (pid == 0) {
    std::uint64_t all = ~std::uint64_t{0}, no_core[2] = {0, 0};
    sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::arg(&all), 0, 8);
    sys::call(SYS_prlimit64, 0, 4 /* RLIMIT_CORE */, sys::arg(no_core), 0);
    sys::exit_group(ask(arg) ? 0 : 1);
  }
  if (pid < 0) return false;
  int status = 0;
  for (int round = 0;; round++) {
    long r = sys::call(SYS_wait4, pid, sys::arg(&status), wait_all | WNOHANG, 0);
    if (r == pid) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (r != 0 && r != -EINTR) return false;
    if (round == 2000) sys::call(SYS_kill, pid, SIGKILL);
    base::nap(100'000);
  }
}

}  // namespace stray::trace
