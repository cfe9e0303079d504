#include "runtime/watcher.h"

#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>

#include "base/check.h"
#include "base/clock.h"
#include "base/sync_shim.h"
#include "runtime/current.h"
#include "runtime/deadlock.h"
#include "runtime/doorbell.h"
#include "runtime/failure.h"
#include "runtime/permits.h"
#include "runtime/scheduler.h"
#include "runtime/service_thread.h"
#include "runtime/stack.h"
#include "runtime/thread.h"
#include "runtime/timer.h"

namespace stray::runtime {

namespace {

base::spin_lock making;
std::atomic<int> own_tid{0};

constexpr std::int64_t round_ns = 10'000'000, second_ns = 1'000'000'000;
constexpr int quiet_rounds = 50;

void* worker_body(void* arg) {
  auto* w = static_cast<worker*>(arg);
  stray_tls_worker = w;
  void* lo = nullptr;
  std::size_t size = 0;
  base::own_stack(&lo, &size);
  // Up to this frame: above it lies the thread-local storage, in which a goroutine may have a fiber's stack.
  w->native = {reinterpret_cast<std::uintptr_t>(lo), reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))};
  w->tid.store(base::thread_id());
  w->alternate = use_alternate_stack();
  worker_main(w);
  return nullptr;
}

// A worker that has not come up yet would be a stranger to the detector, and cannot be stopped.
void make_worker(int number) {
  scheduler& s = sched();
  worker* w = ::new (&s.workers[number]) worker;
  w->number = number;
  w->random = 0x9e37'79b9'7f4a'7c15ull * static_cast<std::uint64_t>(number + 1);
  char name[16];
  std::snprintf(name, sizeof name, "stray-%d", number);
  s.made.store(number + 1);  // before it looks for work
  try {
    w->thread = start_thread(name, worker_body, w);
  } catch (...) {
    s.made.store(number);
    throw;
  }
  while (w->tid.load() == 0) base::yield_core();
}

// A permit waits for a worker, and no spare has come for it.
void serve_free_permits() noexcept {
  scheduler& s = sched();
  static bool said = false;
  while (s.free_permits.load() > 0 && s.made.load() < max_workers && s.exiting.load() == 0) {
    try {
      make_workers(s.made.load() + 1);
    } catch (const std::system_error& error) {
      if (!said) base::say("%s", error.what());
      said = true;
      return;  // again at the next round
    }
    worker& fresh = s.workers[s.made.load() - 1];
    while (s.free_permits.load() > 0 && fresh.tick.load() == 0 && !fresh.asleep.load()) base::yield_core();
  }
}

// What the watcher remembers of a worker.
struct observation {
  std::uint32_t tick = 0;
  int rounds = 0;  // its tick has stood still for so many
};
observation seen[max_workers];

void look_for_stuck_workers() noexcept {
  scheduler& s = sched();
  int made = s.made.load(), over = 0;
  bool work = any_work();
  for (int i = 0; i < made; i++) {
    worker& w = s.workers[i];
    std::uint32_t tick = w.tick.load(std::memory_order_relaxed);  // order: only compared
    seen[i].rounds = tick == seen[i].tick && !w.asleep.load() ? seen[i].rounds + 1 : 0;
    seen[i].tick = tick;
    if (w.asleep.load() || w.permit.load() == permit::held) continue;
    if (w.bound == nullptr) over++;
    drain(&w);  // what it got after its permit was gone
  }
  if (!work) return;
  if (s.idle_count.load() != 0) {
    for (int i = 0; i < made; i++) {
      if (seen[i].rounds != 0) return wake_one();
    }
    return;
  }
  retake_lent();
  for (int i = 0; i < made; i++) {
    worker& w = s.workers[i];
    if (seen[i].rounds == 0 || w.permit.load() != permit::held) continue;
    bool sleeps = thread_state(w.tid.load()) != 'R';
    if (!sleeps && seen[i].rounds < 2 * (1 + over)) continue;
    permit held = permit::held;
    if (!w.permit.compare_exchange_strong(held, permit::none)) continue;
    kick(&w);  // if it has gone idle since
    drain(&w);
    give_permit();
    over++;
  }
}

void* watcher_body(void*) {
  own_tid.store(base::thread_id());
  scheduler& s = sched();
  std::int64_t nap_ns = round_ns;
  int quiet = 0;
  for (;;) {
    timespec t = base::to_timespec(nap_ns);
    if (nap_ns == round_ns) {
      std::atomic<std::uint32_t> never{0};
      base::futex_wait(never, 0, &t);
    } else {
      watcher_awake.store(0);
      base::full_fence();
      if (s.free_permits.load() == 0 && s.idle_count.load() == s.procs.load())
        base::futex_wait(watcher_awake, 0, nap_ns == 0 ? nullptr : &t);
      watcher_awake.store(1);
    }
    while (s.exiting.load() != 0) base::futex_wait(s.exiting, 1);
    touch_coarse_clock();
    serve_free_permits();
    bool busy = s.idle_count.load() < s.procs.load();
    if (busy) {
      quiet = 0;
      nap_ns = round_ns;
      if (next_deadline() <= base::now_ns()) run_timers(base::now_ns());
      look_for_stuck_workers();
      continue;
    }
    if (++quiet == 1) check_deadlock();
    if (quiet < quiet_rounds || trim_stacks()) continue;
    // Quiet. Only the end of a thread outside the library can still make it a deadlock: looked for ever more rarely.
    check_deadlock();
    nap_ns = !may_deadlock() ? 0 : nap_ns < second_ns ? second_ns : nap_ns < 60 * second_ns ? nap_ns * 2 : nap_ns;
  }
  return nullptr;
}

}  // namespace

void make_workers(int n) {
  struct guard {
    guard() noexcept { making.lock(); }
    ~guard() { making.unlock(); }
  } hold;
  while (sched().made.load() < n) make_worker(sched().made.load());
}

void forget_watcher() noexcept {
  making.free_in_child();
  own_tid.store(0);
  watcher_awake.store(1);
  for (observation& o : seen) o = {};
}

void start_watcher() { start_thread("stray-watch", watcher_body, nullptr); }

int watcher_tid() noexcept { return own_tid.load(); }

}  // namespace stray::runtime
