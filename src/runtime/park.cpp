#include "runtime/park.h"

#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/stale_words.h"
#include "base/sync_shim.h"
#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/doorbell.h"
#include "runtime/exit.h"
#include "runtime/parents_tasks.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"
#include "runtime/switch_away.h"
#include "runtime/timer.h"

namespace stray::runtime {

namespace {

std::atomic<std::uint64_t> wrong{0};

// An OS thread sleeps on its own futex; its registers were saved by park for the stack reader.
void park_thread(task* self) noexcept {
  std::uint64_t word = self->word.load(std::memory_order_acquire);  // order: pairs with the wakers' RMWs
  while (word::state_of(word) == state::parking && !self->word.compare_exchange_weak(word, word::with(word, state::waiting))) {
  }
  goroutines_in_exit while_it_waits;
  wake_watcher();                                             // it may be a deadlock now
  while (self->futex.load(std::memory_order_acquire) == 0) {  // order: pairs with make_runnable's store
    // Threads have no worker to keep their timer: they keep it themselves.
    std::int64_t left = self->timer.place == 0 ? no_deadline : time_left(self->timer.when_ns);
    if (left == no_deadline) {
      base::futex_wait(self->futex, 0);
    } else if (left > 0) {
      timespec t = base::to_timespec(left);
      base::futex_wait(self->futex, 0, &t);
    } else {
      run_timers(base::now_ns());
    }
  }
  self->futex.store(0, std::memory_order_relaxed);                                // order: own word until the next wait
  word = self->word.load(std::memory_order_acquire);                              // order: pairs with make_runnable
  self->word.store(word::with(word, state::running), std::memory_order_release);  // order: for the snapshot
}

// The goroutine's exceptions while it waits, on its own stack: the tracer sees one that is being handled. A wait that does not return is
// unwound (divert.h): std::uncaught_exceptions() counts that from here on.
struct kept_exceptions {
  // What stays behind on the thread is nobody's: it would lead from an idle worker to this stack, by way of the exception.
  explicit kept_exceptions(exception_globals& now) noexcept : saved(now) { now = {}; }
  kept_exceptions(const kept_exceptions&) = delete;
  kept_exceptions& operator=(const kept_exceptions&) = delete;
  [[gnu::always_inline]] ~kept_exceptions() {
    exception_globals* to = current_worker()->exceptions;
    *to = saved;
    if (!returned) to->uncaught++;
  }
  exception_globals saved;
  bool returned = false;
};

}  // namespace

void prepare_wait(task* self, wait_reason reason, wait_node* nodes, std::uint32_t count) noexcept {
  std::atomic_ref(self->reason)
      .store(reason, std::memory_order_relaxed);  // order: before the state; who only counts reads it any time
  self->nodes = nodes;
  self->node_count = count;
  self->fired = nullptr;
  self->fired_ok = false;
  self->wait_since_ns = self->is_thread ? base::now_ns() : coarse_now_ns();
  std::uint64_t word = self->word.load(std::memory_order_relaxed);                // order: own word while running
  std::uint64_t next = (word::seq_of(word) + 1) * word::seq_one;                  // clears listed
  self->word.store(word::with(next, state::parking), std::memory_order_release);  // order: the record before the state
}

[[gnu::noinline, gnu::noclone, gnu::used]] void park(task* self) {
  if (self->is_thread) {
    thread_frame frame;  // what a switch would have saved, for the stack reader
    stray_capture_context(&frame.registers, &frame.sp);
    self->sp = reinterpret_cast<std::uintptr_t>(&frame);
    park_thread(self);
    return;
  }
  worker* w = current_worker();
  kept_exceptions kept(*w->exceptions);
  switch_away(w, self, handover::parked);
  kept.returned = true;
}

[[gnu::naked]] void park_on_clear_stack(task*) { STRAY_CLEAR_BELOW_AND_GO_TO(14, "_ZN5stray7runtime4parkEPNS0_4taskE"); }

void park_forever(wait_reason reason) {
  ensure_started();
  task* self = current_task();
  for (;;) {
    prepare_wait(self, reason, nullptr, 0);
    park(self);
  }
}

bool try_claim(task* t) noexcept {
  // order: set where there is one thread
  if (__builtin_expect(parents_tasks_live.load(std::memory_order_relaxed), false)) end_parents_tasks();
  std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: pairs with prepare_wait's release
  for (;;) {
    state now = word::state_of(word);
    if (now != state::waiting && now != state::parking) return false;
    std::uint64_t to = word::with(word, now == state::waiting ? state::claimed : state::claimed_early);
    if (t->word.compare_exchange_weak(word, to)) {
      if (word & word::listed) wrong.fetch_add(1);
      return true;
    }
  }
}

bool try_claim(task* t, std::uint64_t seq) noexcept {
  // order: set where there is one thread
  if (__builtin_expect(parents_tasks_live.load(std::memory_order_relaxed), false)) end_parents_tasks();
  std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: pairs with prepare_wait's release
  for (;;) {
    state now = word::state_of(word);
    if ((now != state::waiting && now != state::parking) || word::seq_of(word) != seq) return false;
    std::uint64_t to = word::with(word, now == state::waiting ? state::claimed : state::claimed_early);
    if (t->word.compare_exchange_weak(word, to)) {
      if (word & word::listed) wrong.fetch_add(1);
      return true;
    }
  }
}

void make_runnable(task* t) noexcept {
  std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: own claim
  for (;;) {
    if (word & word::inspecting) {
      if (t->word.compare_exchange_weak(word, word | word::pending)) return;  // the inspector finishes it
      continue;
    }
    bool early = word::state_of(word) == state::claimed_early;
    bool thread = t->is_thread;
    if (t->word.compare_exchange_weak(word, word::with(word, early ? state::runnable_early : state::runnable))) {
      if (thread) {
        t->futex.store(1, std::memory_order_release);  // order: pairs with park_thread's acquire
        base::futex_wake(t->futex, 1);
      } else if (!early) {
        enqueue(t, true);
      }
      return;
    }
  }
}

namespace {
bool waits_so(std::uint64_t word, wait_id w) noexcept {
  return word::state_of(word) == state::waiting && word::seq_of(word) == w.seq;
}
}  // namespace

bool begin_inspection(task* t, wait_id w) noexcept {
  std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: pairs with after_switch
  while (waits_so(word, w) && !(word & word::inspecting)) {
    if (!t->word.compare_exchange_weak(word, word | word::inspecting)) continue;
    if (t->id == w.task) return true;  // it stands still
    end_inspection(t);
    return false;
  }
  return false;
}

bool await_inspection(task* t, wait_id w) noexcept {
  while (!begin_inspection(t, w)) {
    std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: a hint
    if (t->wait(word) != w || !waits_so(word, w)) return false;
    base::yield_core();
  }
  return true;
}

void end_inspection(task* t) noexcept {
  std::uint64_t word = t->word.fetch_and(~(word::inspecting | word::pending));
  if (word & word::pending) make_runnable(t);
}

void mark_listed(task* t, wait_id w) noexcept {
  std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: a hint for the CAS
  while (waits_so(word, w) && !(word & word::listed)) {
    if (t->word.compare_exchange_weak(word, word | word::listed)) return;
  }
  if (!waits_so(word, w)) wrong.fetch_add(1);
}

void unlist(task* t, wait_id w) noexcept {
  std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: a hint for the CAS
  while (word::seq_of(word) == w.seq && (word & word::listed)) {
    if (t->word.compare_exchange_weak(word, word & ~word::listed)) return;
  }
}

std::uint64_t wrong_verdicts() noexcept { return wrong.load(); }

}  // namespace stray::runtime
