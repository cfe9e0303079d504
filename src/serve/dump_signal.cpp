#include "serve/dump_signal.h"

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <unistd.h>

#include <stray/go.hpp>
#include <stray/leak.hpp>
#include <stray/pprof.hpp>
#include "base/check.h"
#include "base/environment.h"
#include "base/stop_signal.h"
#include "base/sync_shim.h"
#include "base/write_all.h"
#include "runtime/service_thread.h"
#include "runtime/started.h"

namespace stray::serve {

namespace {

std::atomic<std::uint32_t> asked{0};
std::uint32_t answered = 0;  // the dumper's
int chosen = 0,
    process = 0;  // the signal, and whose thread waits for it; written by the main thread and in the child of a fork

void count(int) noexcept {
  const int saved = errno;
  asked.fetch_add(1);
  base::futex_wake(asked, 1);
  errno = saved;
}

// 0: none that may be used.
int number_of(std::string_view name) noexcept {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  int number = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) {
    number = 0;
    for (int s = 1; s < SIGRTMIN; s++) {
      const char* known = sigabbrev_np(s);
      if (known != nullptr && name == known) number = s;
    }
  }
  for (int not_for_this : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, base::stop_signal()}) {
    if (number == not_for_this) return 0;
  }
  return number > 0 && number <= SIGRTMAX ? number : 0;
}

void dump() noexcept {
  try {
    std::ostringstream out;
    out << "stray: " << num_goroutine() << " goroutines\n\n";
    pprof::write("goroutine", out, 2);
    out << '\n' << leak::find({.min_tier = leak::tier::likely});
    base::write_all(STDERR_FILENO, std::move(out).str(), [] {});
  } catch (const std::exception& e) {
    base::say("stray: the goroutines cannot be dumped: %s", e.what());
  }
}

void* dumper(void* number) {
  sigset_t mine;  // where every other thread blocks it, it comes here
  sigemptyset(&mine);
  sigaddset(&mine, static_cast<int>(reinterpret_cast<std::intptr_t>(number)));
  pthread_sigmask(SIG_UNBLOCK, &mine, nullptr);
  for (;;) {
    base::futex_wait(asked, answered);
    const std::uint32_t now = asked.load();
    if (now == answered) continue;
    answered = now;
    dump();
  }
}

bool start_dumper(int number) noexcept {
  try {
    runtime::start_thread("stray-dump", dumper, reinterpret_cast<void*>(static_cast<std::intptr_t>(number)));
  } catch (const std::exception& e) {
    base::say("%s", e.what());
    return false;
  }
  chosen = number;
  process = getpid();
  return true;
}

}  // namespace

void resume_dumps() noexcept {
  if (chosen == 0 || process == getpid()) return;
  answered = asked.load();
  start_dumper(chosen);
}

void dump_by_environment() noexcept {
  const char* name = base::environment("STRAY_DUMP_SIGNAL");
  if (name == nullptr || *name == '\0') return;
  const int number = number_of(name);
  if (number == 0) {
    base::say("stray: STRAY_DUMP_SIGNAL=%s: no signal for this; use QUIT, USR1, USR2, or a number such as 40", name);
    return;
  }
  if (!start_dumper(number)) return;
  struct sigaction action {};
  action.sa_handler = count;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

}  // namespace stray::serve
