#include "runtime/start.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sched.h>
#include <string>
#include <system_error>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/control_groups.h"
#include "base/environment.h"
#include "base/first_failure.h"
#include "base/stop_signal.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "base/upcalls.h"
#include "runtime/after_fork.h"
#include "runtime/context.h"
#include "runtime/cpu_limit.h"
#include "runtime/creators.h"
#include "runtime/current.h"
#include "runtime/failure.h"
#include "runtime/permits.h"
#include "runtime/scheduler.h"
#include "runtime/stack.h"
#include "runtime/timer.h"
#include "runtime/watcher.h"

namespace stray::runtime {

extern "C" {
constinit thread_local task* stray_tls_task = nullptr;
constinit thread_local worker* stray_tls_worker = nullptr;
}

namespace {

enum phases : int {
  not_started,
  starting,
  running,
  forked
};  // forked: the child of a process that had started, or was about to
std::atomic<int> phase{not_started};
base::spin_lock procs_lock;
std::uint8_t stack_class_by_default = 0;

// A positive number of the environment with an optional suffix k or m; 0 when unset; says what is wrong once.
std::size_t setting(const char* name, std::size_t highest, const char* advice) noexcept {
  const char* text = base::environment(name);
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  errno = 0;
  unsigned long long n = std::strtoull(text, &end, 10);
  if (end != text && (*end == 'k' || *end == 'K')) n <<= 10, end++;
  if (end != text && (*end == 'm' || *end == 'M')) n <<= 20, end++;
  if (end == text || *end != '\0' || errno != 0 || n == 0 || n > highest || *text == '-') {
    base::say("stray: %s=%s is not a number from 1 to %zu; using the default (%s)", name, text, highest, advice);
    return 0;
  }
  return static_cast<std::size_t>(n);
}

sigset_t mask_at_start;

#if !defined(STRAY_SIM)
// after_fork.h 2.
void in_child() noexcept {
  base::forget_failure();
  note_forking_thread();
  if (phase.load() == not_started) return;
  // Workers block the program's signals; what a goroutine forks must not: SIGTERM could not end it.
  if (current_worker() != nullptr) pthread_sigmask(SIG_SETMASK, &mask_at_start, nullptr);
  base::in_forked_child.store(true);
  remember_forking_thread();
  phase.store(forked);
}

[[gnu::constructor]] void watch_forks() noexcept {
  watch_end_of_forking_thread();
  pthread_atfork(nullptr, nullptr, in_child);
}
#endif

int usable_cores() noexcept {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int n = CPU_COUNT(&set);
  int limit = cpu_limit(base::control_group_list, base::control_group_mount);
  if (limit != 0 && limit < n) n = limit < 2 ? 2 : limit;
  return n < 1 ? 1 : n > max_procs ? max_procs : n;
}

std::atomic<int> exit_tid{0};
std::atomic<int> retaken_at_exit{0};

void stop_goroutines() noexcept {
  scheduler& s = sched();
  s.exiting.store(1);
  int made = s.made.load();
  int away = current_worker() != nullptr ? 1 : 0;  // exit() was called on a goroutine
  for (int i = 0; i < made; i++) {
    permit lent = permit::lent;  // in a blocking call, whose end finds no permit
    if (s.workers[i].permit.compare_exchange_strong(lent, permit::none)) {
      s.lent.fetch_sub(1);
      retaken_at_exit.fetch_add(1);
      away++;
    }
    kick(&s.workers[i]);
  }
  std::int64_t end = base::now_ns() + 100'000'000;
  while (s.stopped_at_exit.load() + away < made && base::now_ns() < end) {
    base::nap(200'000);
  }
}

void at_exit() noexcept {
  if (phase.load() != running) return;  // the child of a fork that has not used it
  base::wait_for_failure();             // before statics are destroyed that the failing one may use
  exit_tid.store(base::sys::gettid());
  if (current_worker() != nullptr) sched().exit_task.store(current_task_or_null());
  stop_goroutines();
  base::wait_for_failure();
}

// A stack of ours has no shadow: the first return behind a switch would kill the process, without a word.
[[maybe_unused]] void refuse_shadow_stacks() noexcept {  // not of the simulator's one thread
  constexpr long shadow_stack_status = 0x5005;
  std::uint64_t features = 0;
  if (base::sys::call(SYS_arch_prctl, shadow_stack_status, base::sys::arg(&features)) == 0 && (features & 1) != 0) {
    base::fatal(
        "goroutines cannot run with shadow stacks (CET), which this process has switched on; run it with "
        "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off, or link it without -z shstk");
  }
}

bool started_once = false;  // what a child inherits is there

void start() {
  std::size_t procs = setting("STRAY_MAXPROCS", max_procs, "the number of usable cores");
  std::size_t stack = setting("STRAY_STACK_SIZE", std::size_t{1} << 30, "64 KiB");
  stack_class_by_default = static_cast<std::uint8_t>(stack == 0 ? 0 : stack_class_for(stack));
  scheduler& s = sched();
  base::range where = base::carve(base::page_up(sizeof(worker) * max_workers));
  if (!base::commit(where.lo, where.size())) base::fatal("out of memory at start");
  s.workers = reinterpret_cast<worker*>(where.lo);
  steps.start();
  int n = procs == 0 ? usable_cores() : static_cast<int>(procs);
  touch_coarse_clock();
#if !defined(STRAY_SIM)
  refuse_shadow_stacks();
  stray_vectors = __builtin_cpu_supports("avx512vl") ? 2 : __builtin_cpu_supports("avx") ? 1 : 0;
#endif
  install_failure_handlers();
  std::atexit(at_exit);
  pthread_sigmask(SIG_SETMASK, nullptr, &mask_at_start);
  started_once = true;
  const char* deadlock = base::environment("STRAY_DEADLOCK");
  if (deadlock != nullptr && std::strcmp(deadlock, "off") == 0) deadlock_check(false);
  make_workers(n);
  set_permits(n);
  start_watcher();
}

// after_fork.h 1. Nobody else is here.
void start_afresh() {
  scheduler& s = sched();
  const int procs = s.procs.load();
  base::free_address_space_lock();
  procs_lock.free_in_child();
  forget_task_locks();
  forget_holds_locks();
  end_parents_tasks();
  give_up_parents_holds();
  forget_stacks();
  forget_timers();
  forget_scheduler();
  forget_watcher();
  forget_passive_threads();
  forget_services();
  exit_tid.store(0);
  retaken_at_exit.store(0);
  upcall::runtime_forked();
  if (!started_once || procs == 0) return start();
  install_failure_handlers();
  touch_coarse_clock();
  make_workers(procs);
  set_permits(procs);
  start_watcher();
}

}  // namespace

void resume_goroutines() noexcept {
  scheduler& s = sched();
  s.exiting.store(0);
  base::futex_wake(s.exiting, INT_MAX);
  for (int n = retaken_at_exit.exchange(0); n > 0; n--) give_permit();
}

goroutines_in_exit::goroutines_in_exit() noexcept
    : resumed_(sched().exiting.load() != 0 && exit_tid.load() == base::sys::gettid()) {
  if (resumed_) resume_goroutines();
}
goroutines_in_exit::~goroutines_in_exit() {
  if (resumed_) stop_goroutines();
}

bool started() noexcept { return phase.load() == running; }

void ensure_started() {
  int now = phase.load(std::memory_order_acquire);  // order: pairs with the store of running
  if (__builtin_expect(now == running, 1)) return;
  const bool afresh = now == forked;
  now = afresh ? forked : not_started;
  if (phase.compare_exchange_strong(now, starting)) {
    try {
      afresh ? start_afresh() : start();
    } catch (const std::system_error& error) {
      base::say("%s", error.what());
      base::fatal("the runtime cannot start");
    }
    phase.store(running);
    upcall::runtime_started();
    return;
  }
  while (phase.load() != running) base::yield_core();
}

std::uint8_t default_stack_class() noexcept { return stack_class_by_default; }

pthread_t start_thread(const char* name, void* (*body)(void*), void* arg) {
  sigset_t block, before;
  sigfillset(&block);
  for (int ours : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF, base::stop_signal()}) sigdelset(&block, ours);
  pthread_sigmask(SIG_SETMASK, &block, &before);
  pthread_t thread;
  int error = base::make_thread(&thread, name, body, arg);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    throw std::system_error(
        error, std::generic_category(),
        std::string("stray: cannot start thread ") + name + "; raise the limit on threads (ulimit -u, pids.max)");
  }
  return thread;
}

namespace {
constinit service_threads the_services{};
}
const service_threads& services() noexcept { return the_services; }
void forget_services() noexcept {
  for (std::atomic<int>& t : the_services.tid) t.store(0);
}

service_thread::service_thread() noexcept {
  const int self = base::thread_id();
  for (std::atomic<int>& t : the_services.tid) {
    int free = 0;
    if (!t.compare_exchange_strong(free, self)) continue;
    slot_ = &t;
    return;
  }
}
service_thread::~service_thread() {
  if (slot_ != nullptr) slot_->store(0);
}

}  // namespace stray::runtime

namespace stray {

int maxprocs() noexcept {
  runtime::scheduler& s = runtime::sched();
  if (!runtime::started()) runtime::ensure_started();
  return s.procs.load();
}

int maxprocs(int n) {
  runtime::ensure_started();
  runtime::scheduler& s = runtime::sched();
  if (n > runtime::max_procs) n = runtime::max_procs;
  runtime::procs_lock.lock();
  int before = s.procs.load();
  if (n >= 1 && n != before) {
    runtime::make_workers(n);
    runtime::set_permits(n);
  }
  runtime::procs_lock.unlock();
  return before;
}

}  // namespace stray
