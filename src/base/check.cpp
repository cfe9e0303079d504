#include "base/check.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>

#include "base/first_failure.h"
#include "base/syscalls.h"
#include "base/upcalls.h"

namespace stray::base {

bool first_failure() noexcept {
  static int reporter = 0;
  int nobody = 0, self = sys::gettid();
  if (__atomic_compare_exchange_n(&reporter, &nobody, self, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return true;
  timespec limit{10, 0};
  if (nobody != self) sys::call(SYS_nanosleep, sys::arg(&limit), 0);
  return false;
}

void say(const char* format, ...) noexcept {
  char text[1024];
  va_list args;
  va_start(args, format);
  int n = std::vsnprintf(text, sizeof text - 1, format, args);
  va_end(args);
  if (n < 0) return;
  if (n > static_cast<int>(sizeof text) - 2) n = static_cast<int>(sizeof text) - 2;
  text[n++] = '\n';
  sys::write(STDERR_FILENO, text, static_cast<std::size_t>(n));
}

void fatal(const char* text) noexcept {
  if (first_failure()) {
    say("fatal error: %s\n", text);
    upcall::dump_goroutines(STDERR_FILENO);
  }
  _exit(2);
}

void check_failed(const char* condition, const char* file, int line) noexcept {
  if (first_failure()) {
    say("stray: internal error: %s is false at %s:%d; please report it with the dump below\n", condition, file, line);
    upcall::dump_goroutines(STDERR_FILENO);
  }
  std::abort();
}

}  // namespace stray::base
