#include "runtime/permits.h"

#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "runtime/current.h"
#include "runtime/doorbell.h"
#include "runtime/exit.h"
#include "runtime/scheduler.h"
#include "runtime/switch_away.h"

namespace stray::runtime {

namespace {

// What it has queued and woken is for others.
void give_queue_away(worker* w) noexcept {
  if (task* t = w->run_next.exchange(nullptr)) push_global(t, t, 1);
  while (task* t = w->queue.pop()) push_global(t, t, 1);
  wake_one();
}

// Its own word, not worker::wake: a late grant must not be taken for the word of who took the worker out of the idle list.
void grant(worker* w) noexcept {
  w->granted.store(1);
  base::futex_wake(w->granted, 1);
}

// Returns when goroutines run again (exit.h 2).
void stop_for_exit() noexcept {
  scheduler& s = sched();
  if (const task* t = s.exit_task.load(); t != nullptr && t->current_state() != state::running) return resume_goroutines();
  s.stopped_at_exit.fetch_add(1);
  while (s.exiting.load() != 0) base::futex_wait(s.exiting, 1);
  s.stopped_at_exit.fetch_sub(1);
}

}  // namespace

void give_permit() noexcept {
  scheduler& s = sched();
  s.spare_lock.lock();
  worker* w = s.spares;
  if (w != nullptr) {
    s.spares = w->idle_next;
  } else {
    s.free_permits++;
  }
  s.spare_lock.unlock();
  if (w == nullptr) return wake_watcher();
  w->permit.store(permit::held);
  grant(w);
}

bool take_permit(worker* w) noexcept {
  permit had = w->permit.exchange(permit::none);
  if (had == permit::lent) sched().lent.fetch_sub(1);
  return had != permit::none;
}

bool retake_lent() noexcept {
  scheduler& s = sched();
  int made = s.made.load();
  for (int i = 0; i < made && s.lent.load() != 0; i++) {
    permit lent = permit::lent;
    if (!s.workers[i].permit.compare_exchange_strong(lent, permit::none)) continue;
    s.lent.fetch_sub(1);
    give_permit();
    return true;
  }
  return false;
}

void set_permits(int n) {
  scheduler& s = sched();
  int before = s.procs.exchange(n);
  for (; before < n; before++) give_permit();
  while (before > n) {
    s.spare_lock.lock();
    bool taken = s.free_permits > 0;
    if (taken) s.free_permits--;
    s.spare_lock.unlock();
    for (int i = s.made.load(); !taken && i > 0; i--) {
      taken = take_permit(&s.workers[i - 1]);
      if (taken) kick(&s.workers[i - 1]);
    }
    if (taken) {
      before--;
    } else {
      base::yield_core();  // one is on its way from worker to worker
    }
  }
}

void wait_for_permit(worker* w) noexcept {
  scheduler& s = sched();
  if (w->permit.load() == permit::held) return stop_for_exit();
  give_queue_away(w);
  w->asleep.store(true);
  s.spare_lock.lock();
  bool free = s.free_permits > 0 && s.exiting.load() == 0;
  if (free) {
    s.free_permits--;
    w->permit.store(permit::held);
  } else {
    w->idle_next = s.spares;
    s.spares = w;
  }
  s.spare_lock.unlock();
  while (w->permit.load() == permit::none) {
    if (s.exiting.load() != 0) stop_for_exit();
    base::futex_wait(w->granted, 0);
    w->granted.store(0);
  }
  w->asleep.store(false);
}

task* wait_for_bound(worker* w) noexcept {
  scheduler& s = sched();
  if (take_permit(w)) give_permit();
  give_queue_away(w);
  w->asleep.store(true);
  task* t;
  while ((t = w->handed.exchange(nullptr)) == nullptr) {
    if (s.exiting.load() != 0) stop_for_exit();
    base::futex_wait(w->granted, 0);
    w->granted.store(0);
  }
  w->asleep.store(false);
  return t;
}

void hand_to_bound(task* t) noexcept {
  worker* w = t->bound;
  w->handed.store(t);
  grant(w);
}

}  // namespace stray::runtime

namespace stray {

void lock_os_thread() {
  runtime::worker* w = runtime::current_worker();
  if (w == nullptr) return;  // an OS thread is always on itself
  runtime::task* self = runtime::current_task();
  if (self->os_locks++ != 0) return;
  self->bound = w;
  w->bound = self;
  if (runtime::take_permit(w)) runtime::give_permit();
}

void unlock_os_thread() {
  runtime::worker* w = runtime::current_worker();
  if (w == nullptr) return;
  runtime::task* self = runtime::current_task();
  if (self->os_locks == 0 || --self->os_locks != 0) return;
  self->bound = nullptr;
  w->bound = nullptr;
  yield();  // the thread is a spare now
}

namespace detail {

void blocking_begin() noexcept {
  runtime::worker* w = runtime::current_worker();
  if (w == nullptr) return;
  runtime::scheduler& s = runtime::sched();
  s.lent.fetch_add(1);  // before the state, so that it is never below the truth
  runtime::permit held = runtime::permit::held;
  if (!w->permit.compare_exchange_strong(held, runtime::permit::lent)) {
    s.lent.fetch_sub(1);
    return;
  }
  if (runtime::any_work()) runtime::retake_lent();
}

void blocking_end() noexcept {
  runtime::worker* w = runtime::current_worker();
  if (w == nullptr) return;
  runtime::permit lent = runtime::permit::lent;
  if (w->permit.compare_exchange_strong(lent, runtime::permit::held)) {
    runtime::sched().lent.fetch_sub(1);
    return;
  }
  // Ours went to somebody else: queue up for another one.
  if (lent == runtime::permit::none && w->bound == nullptr) runtime::yield_now(w);
}

}  // namespace detail

}  // namespace stray
