#include "base/check.h"

#include <atomic>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>

#include "base/first_failure.h"
#include "base/syscalls.h"
#include "base/upcalls.h"

namespace stray::base {

namespace {

// 0: nobody; the thread that fails, with of_others_bit; the negative one that has come to the end of exit.
constinit std::atomic<int> ender{0};
constinit std::atomic<std::uint32_t> steps{0};
constinit std::atomic<void (*)() noexcept> last_words{nullptr};
constexpr int of_others_bit = 1 << 30;

int thread_of(int ender_now) noexcept { return ender_now & ~of_others_bit; }

// Returns only when the report stands still.
void wait_for_report() noexcept {
  constexpr timespec nap{0, 10'000'000};
  std::uint32_t seen = steps.load();
  for (int still = 0; still < 1000; still++) {
    sys::call(SYS_nanosleep, sys::arg(&nap), 0);
    if (steps.load() == seen) continue;
    seen = steps.load();
    still = 0;
  }
}

// exit and quick_exit call it behind everything else that runs at the end.
void at_very_end() noexcept {
  if (is_reporter()) finish_report();
  const int self = sys::gettid();
  int now = 0;
  while (!ender.compare_exchange_strong(now, -self)) {
    if (now < 0 || thread_of(now) == self) return;
    wait_for_failure();
    if (now & of_others_bit) return;
    now = 0;
  }
}

[[gnu::destructor(101)]] void end_of_exit() noexcept { at_very_end(); }
// The first handler registered is the last one called.
[[gnu::constructor(101)]] void register_end_of_quick_exit() noexcept { std::at_quick_exit(at_very_end); }

}  // namespace

bool first_failure(failure kind) noexcept {
  const int self = sys::gettid(), mine = self | (kind == failure::of_others ? of_others_bit : 0);
  for (int now = 0;;) {
    if (ender.compare_exchange_strong(now, mine)) return true;
    if (now == -self) continue;  // a destructor behind the end of exit fails: it ends the process
    if (now > 0 && thread_of(now) == self) return false;
    wait_for_report();
    if (now > 0) return false;
    // exit has stood still for as long as that: no end of the process is near.
  }
}

void report_grows() noexcept { steps.fetch_add(1, std::memory_order_relaxed); }  // order: only compared

void end_when_stuck(unsigned patience_s) noexcept {
  static constinit std::atomic<std::uint32_t> seen{0};
  static constinit std::atomic<unsigned> patience{0};
  seen.store(steps.load());
  patience.store(patience_s);
  struct sigaction stop {};
  stop.sa_flags = SA_ONSTACK;
  stop.sa_handler = [](int) {
    const std::uint32_t now = steps.load();
    if (seen.exchange(now) == now) {
      if (auto words = last_words.exchange(nullptr)) words();
      _exit(2);
    }
    alarm(patience.load());
  };
  sigaction(SIGALRM, &stop, nullptr);
  sigset_t alarm_only;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm_only, nullptr);
  alarm(patience_s);
}

void set_last_words(void (*words)() noexcept) noexcept { last_words.store(words); }

bool is_reporter() noexcept { return ender.load() == sys::gettid(); }

void finish_report() noexcept {
  if (auto words = last_words.exchange(nullptr)) {
    words();
    end_when_stuck(5);
    upcall::dump_goroutines(STDERR_FILENO);
  }
  _exit(2);
}

void wait_for_failure() noexcept {
  int now = ender.load();
  if (now <= 0 || thread_of(now) == sys::gettid()) return;
  wait_for_report();
  if ((now & of_others_bit) == 0) _exit(2);
}

void forget_failure() noexcept {
  ender.store(0);
  last_words.store(nullptr);
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
    end_when_stuck();
    upcall::dump_goroutines(STDERR_FILENO);
  }
  _exit(2);
}

void check_failed(const char* condition, const char* file, int line) noexcept {
  if (first_failure()) {
    say("stray: internal error: %s is false at %s:%d; please report it with the dump below\n", condition, file, line);
    end_when_stuck();
    upcall::dump_goroutines(STDERR_FILENO);
  }
  std::abort();
}

}  // namespace stray::base
