#include "runtime/start.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
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
#include "base/switch_setting.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "base/upcalls.h"
#include "runtime/after_fork.h"
#include "runtime/context.h"
#include "runtime/cpu_limit.h"
#include "runtime/creators.h"
#include "runtime/current.h"
#include "runtime/deadlock.h"
#include "runtime/exit.h"
#include "runtime/failure.h"
#include "runtime/parents_tasks.h"
#include "runtime/permits.h"
#include "runtime/read_holds.h"
#include "runtime/scheduler.h"
#include "runtime/service_thread.h"
#include "runtime/stack.h"
#include "runtime/started.h"
#include "runtime/task.h"
#include "runtime/thread.h"
#include "runtime/timer.h"
#include "runtime/watcher.h"

namespace stray::runtime {

namespace {

base::spin_lock procs_lock;
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
  if (now_in.load() == phase::not_started) return;
  // Workers block the program's signals; what a goroutine forks must not: SIGTERM could not end it.
  if (current_worker() != nullptr) pthread_sigmask(SIG_SETMASK, &mask_at_start, nullptr);
  base::in_forked_child.store(true);
  remember_forking_thread();
  now_in.store(phase::forked);
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

void at_exit() noexcept {
  if (now_in.load() != phase::running) return;  // the child of a fork that has not used it
  if (base::is_reporter()) base::finish_report();
  base::wait_for_failure();  // before statics are destroyed that the failing one may use
  stop_goroutines_at_exit();
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
  set_default_stack_class(stack == 0 ? 0 : stack_class_for(stack));
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
  if (!base::switch_setting("STRAY_DEADLOCK", true, true)) deadlock_check(false);
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
  forget_ended_threads();
  forget_holds_locks();
  end_parents_tasks();
  give_up_parents_holds();
  forget_stacks();
  forget_timers();
  forget_scheduler();
  forget_watcher();
  forget_passive_threads();
  forget_services();
  forget_exit();
  upcall::runtime_forked();
  if (!started_once || procs == 0) return start();
  install_failure_handlers();
  touch_coarse_clock();
  make_workers(procs);
  set_permits(procs);
  start_watcher();
}

}  // namespace

void start_once() {
  phase now = now_in.load();
  if (now == phase::running) return;
  const bool afresh = now == phase::forked;
  now = afresh ? phase::forked : phase::not_started;
  if (now_in.compare_exchange_strong(now, phase::starting)) {
    try {
      afresh ? start_afresh() : start();
    } catch (const std::system_error& error) {
      base::say("%s", error.what());
      base::fatal("the runtime cannot start");
    }
    now_in.store(phase::running);
    upcall::runtime_started();
    return;
  }
  while (now_in.load() != phase::running) base::yield_core();
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
