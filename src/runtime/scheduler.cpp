#include "runtime/scheduler.h"

#include <algorithm>
#include <cxxabi.h>
#include <new>
#include <sched.h>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/sync_shim.h"
#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/doorbell.h"
#include "runtime/fiber.h"
#include "runtime/permits.h"
#include "runtime/stack.h"
#include "runtime/timer.h"

namespace stray::runtime {

namespace {

constinit scheduler the_scheduler;
constexpr std::uint32_t streak_limit = base::capacity(32), timer_interval = base::capacity(16),
                        global_interval = 4 * timer_interval, global_batch = base::capacity(32);
constexpr int looks = base::capacity(5), relaxes = base::capacity(1000);
constexpr std::int64_t patience_ns = 10'000;

void push_local(worker* w, task* t) noexcept {
  while (!w->queue.push(t)) {
    task* half[run_queue::capacity / 2];
    std::uint32_t n = w->queue.pop_half(half);
    if (n == 0) continue;
    for (std::uint32_t i = 0; i + 1 < n; i++) half[i]->next = half[i + 1];
    push_global(half[0], half[n - 1], n);
  }
}

void prefetch(const void* line) noexcept {
  auto at = reinterpret_cast<std::uintptr_t>(line);
  base::prefetch(at, at + 1);
}

// At most n of the global queue, and no more than this worker's share: the first is returned, the others go to its own queue.
task* pop_global(worker* w, std::uint32_t n) noexcept {
  scheduler& s = the_scheduler;
  if (s.global_size.load(std::memory_order_relaxed) == 0) return nullptr;  // order: a hint; sleepers look again after a fence
  s.global_lock.lock();
  std::uint32_t size = s.global_size.load(std::memory_order_relaxed);  // order: written under the lock
  n = std::min({n, size, size / static_cast<std::uint32_t>(s.procs.load(std::memory_order_relaxed)) + 1});  // order: a hint
  task *first = s.global_head, *last = first;
  for (std::uint32_t i = 1; i < n; i++) {
    last = last->next;
    prefetch(last->closure);  // a million that were started at once: 430 ns each instead of 500
    prefetch(&last->run);
  }
  if (first != nullptr) {
    s.global_head = std::exchange(last->next, nullptr);
    if (s.global_head == nullptr) s.global_tail = nullptr;
    s.global_size.store(size - n);
  }
  s.global_lock.unlock();
  if (first == nullptr) return nullptr;
  for (task* t = std::exchange(first->next, nullptr); t != nullptr;)
    push_local(w, std::exchange(t, std::exchange(t->next, nullptr)));
  return first;
}

worker* pop_idle(worker* wanted) noexcept {
  scheduler& s = the_scheduler;
  s.idle_lock.lock();
  worker** link = &s.idle;
  while (*link != nullptr && wanted != nullptr && *link != wanted) link = &(*link)->idle_next;
  worker* w = *link;
  if (w != nullptr) {
    *link = w->idle_next;
    s.idle_count.fetch_sub(1);
  }
  s.idle_lock.unlock();
  return w;
}

// Only by who has taken w out of the idle list.
void rouse(worker* w, std::uint32_t how) noexcept {
  w->wake.store(how);
  base::futex_wake(w->wake, 1);
}

std::uint64_t next_random(worker* w) noexcept {
  std::uint64_t x = w->random;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return w->random = x;
}

// What a searching worker saw of the others at its last look.
struct look {
  int made = 0;
  std::uint32_t queue_end[max_workers];
  int next_at = -1;  // a worker whose run-next slot was full
  std::uint32_t tick = 0;
};

void look_around(worker* w, look& seen) noexcept {
  scheduler& s = the_scheduler;
  seen.made = s.made.load();
  seen.next_at = -1;
  for (int i = 0; i < seen.made; i++) {
    worker* other = &s.workers[i];
    seen.queue_end[i] = other->queue.end();
    if (other != w && other->run_next.load() != nullptr) seen.next_at = i, seen.tick = other->tick.load();
  }
}

// Rule 7.
task* steal(worker* w, const look& seen) noexcept {
  scheduler& s = the_scheduler;
  auto start = static_cast<int>(next_random(w) % static_cast<unsigned>(seen.made));
  for (int i = 0; i < seen.made; i++) {
    int at = (start + i) % seen.made;
    if (&s.workers[at] == w) continue;
    task* stolen[run_queue::capacity / 2];
    std::uint32_t n = s.workers[at].queue.steal(stolen, seen.queue_end[at]);
    if (n != 0) {
      for (std::uint32_t k = 0; k + 1 < n; k++) push_local(w, stolen[k]);
      return stolen[n - 1];
    }
  }
  if (seen.next_at < 0 || s.workers[seen.next_at].tick.load() != seen.tick) return nullptr;
  return s.workers[seen.next_at].run_next.exchange(nullptr);
}

task* search(worker* w) noexcept {
  look seen;
  for (int i = 0; i < looks; i++) {
    look_around(w, seen);
    std::int64_t until = base::now_ns() + patience_ns;
    for (int relaxed = 0; relaxed < relaxes && base::now_ns() < until; relaxed++) {
      if (task* t = pop_global(w, global_batch)) return t;
      base::cpu_relax();
    }
    if (task* t = steal(w, seen)) return t;
  }
  return nullptr;
}

void stop_searching(worker* w, bool found) noexcept {
  if (!w->searching) return;
  w->searching = false;
  if (the_scheduler.searching.fetch_sub(1) == 1 && found) wake_one();
}

void sleep_idle(worker* w) noexcept {
  scheduler& s = the_scheduler;
  w->wake.store(0);
  s.idle_lock.lock();
  w->idle_next = s.idle;
  s.idle = w;
  s.idle_count.fetch_add(1);
  s.idle_lock.unlock();
  base::full_fence();  // rule 3
  if ((any_work() || s.exiting.load() != 0 || w->permit.load() != permit::held) && pop_idle(w) == w) return;
  w->asleep.store(true);
  worker* nobody = nullptr;
  bool keeper = false, withdrawn = false;
  while (w->wake.load() == 0) {
    std::int64_t deadline = next_deadline();
    if (!keeper && deadline != no_deadline) keeper = s.timekeeper.compare_exchange_strong(nobody, w), nobody = nullptr;
    std::int64_t left = 0;
    if (keeper && (deadline = next_deadline()) != no_deadline) {
      left = deadline - base::now_ns();
      if (left <= 0) {
        withdrawn = pop_idle(w) == w;
        if (withdrawn) break;
        left = 1'000'000;  // a waker has taken it: its wake comes now
      }
    }
    timespec t = base::to_timespec(left);
    base::futex_wait(w->wake, 0, left == 0 ? nullptr : &t);
  }
  if (keeper) s.timekeeper.store(nullptr);
  if (!withdrawn && pop_idle(w) != w) {
    // Taken out by a waker, whose word may still be on its way when something else kicked us.
    std::uint32_t how;
    while ((how = w->wake.load()) <= kicked) base::futex_wait(w->wake, how);
    w->searching = how == woken_to_search;
  }
  w->asleep.store(false);
  touch_coarse_clock();
  wake_watcher();
}

// What a worker does instead of searching when it is not free to run just any goroutine. nullptr: it is free now.
task* settle_permit(worker* w) noexcept {
  scheduler& s = the_scheduler;
  permit lent = permit::lent;
  if (w->permit.compare_exchange_strong(lent, permit::held)) s.lent.fetch_sub(1);  // its goroutine parked in a blocking section
  if (w->bound == nullptr && w->permit.load() == permit::held && s.exiting.load() == 0) return nullptr;
  stop_searching(w, false);
  if (w->bound != nullptr) return wait_for_bound(w);
  wait_for_permit(w);
  return nullptr;
}

task* find_work(worker* w) noexcept {
  scheduler& s = the_scheduler;
  for (;;) {
    if (w->permit.load(std::memory_order_relaxed) != permit::held || w->bound != nullptr ||
        s.exiting.load(std::memory_order_relaxed) != 0) {  // order: hints
      if (task* t = settle_permit(w)) return t;
      continue;
    }
    task* t = pick(w);
    if (t == nullptr) t = pop_global(w, global_batch);
    if (t == nullptr && run_timers(base::now_ns())) t = pick(w);
    if (t == nullptr) {
      if (!w->searching && 2 * s.searching.load() < s.procs.load()) {
        w->searching = true;
        s.searching.fetch_add(1);
      }
      if (w->searching) t = search(w);
    }
    if (t != nullptr && t->bound != nullptr) {
      hand_to_bound(t);
      continue;
    }
    if (t != nullptr) {
      stop_searching(w, true);
      return t;
    }
    stop_searching(w, false);
    sleep_idle(w);
  }
}

}  // namespace

scheduler& sched() noexcept { return the_scheduler; }

void forget_scheduler() noexcept {
  worker* workers = the_scheduler.workers;
  const std::uint64_t next_id = the_scheduler.next_id.load();
  for (int i = 0; i < the_scheduler.made.load(); i++) ::new (&workers[i]) worker;
  ::new (&the_scheduler) scheduler;
  the_scheduler.workers = workers;
  the_scheduler.next_id.store(next_id);
}

void push_global(task* first, task* last, std::uint32_t n) noexcept {
  scheduler& s = the_scheduler;
  s.global_lock.lock();
  last->next = nullptr;
  if (s.global_tail != nullptr) {
    s.global_tail->next = first;
  } else {
    s.global_head = first;
  }
  s.global_tail = last;
  s.global_size.store(s.global_size.load(std::memory_order_relaxed) + n);  // order: written under the lock; seq_cst for rule 3
  s.global_lock.unlock();
}

void wake_one() noexcept {
  scheduler& s = the_scheduler;
  if (s.idle_count.load() == 0) {
    if (s.lent.load() != 0) retake_lent();
    return;
  }
  if (s.searching.load() != 0) return;
  int none = 0;
  if (!s.searching.compare_exchange_strong(none, 1)) return;
  worker* w = pop_idle(nullptr);
  if (w == nullptr) {
    s.searching.fetch_sub(1);
    return;
  }
  rouse(w, woken_to_search);
}

bool any_work() noexcept {
  scheduler& s = the_scheduler;
  if (s.global_size.load() != 0) return true;
  int made = s.made.load();
  for (int i = 0; i < made; i++) {
    if (s.workers[i].queue.size() != 0 || s.workers[i].run_next.load() != nullptr) return true;
  }
  return false;
}

bool drain(worker* stuck) noexcept {
  bool any = false;
  if (task* t = stuck->run_next.exchange(nullptr)) push_global(t, t, 1), any = true;
  task* stolen[run_queue::capacity / 2];
  while (std::uint32_t n = stuck->queue.steal(stolen, stuck->queue.end())) {
    for (std::uint32_t i = 0; i + 1 < n; i++) stolen[i]->next = stolen[i + 1];
    push_global(stolen[0], stolen[n - 1], n);
    any = true;
  }
  if (any) wake_one();
  return any;
}

void enqueue(task* t, bool as_next) noexcept {
  worker* w = current_worker();
  if (w == nullptr ||
      w->permit.load(std::memory_order_relaxed) != permit::held) {  // order: a hint; a queue left behind is drained
    push_global(t, t, 1);
  } else if (as_next) {
    task* old = w->run_next.exchange(t);  // a full barrier: rule 3
    if (old != nullptr) push_local(w, old);
  } else {
    push_local(w, t);
    base::full_fence();  // rule 3
  }
  wake_one();
}

namespace {

task* pick_any(worker* w) noexcept {
  std::uint32_t tick = w->tick.load(std::memory_order_relaxed) + 1;  // order: own word
  w->tick.store(tick, std::memory_order_relaxed);                    // order: for the watcher, which only compares
  if (__builtin_expect(w->permit.load(std::memory_order_relaxed) != permit::held, false))
    return nullptr;  // order: its owner looks again
  if (tick % timer_interval == 0) {
    if (next_deadline() != no_deadline) run_timers(base::now_ns());
    if (task* t = tick % global_interval == 0 ? pop_global(w, 1) : nullptr) return t;
  }
  if (w->run_next.load(std::memory_order_relaxed) != nullptr) {  // order: the exchange decides
    if (++w->next_streak < streak_limit) {
      if (task* t = w->run_next.exchange(nullptr)) return t;
    } else {
      w->next_streak = 0;
      if (task* t = w->run_next.exchange(nullptr)) push_local(w, t);
    }
  } else {
    w->next_streak = 0;
  }
  return w->queue.pop();
}

}  // namespace

task* pick(worker* w) noexcept {
  for (;;) {
    task* t = pick_any(w);
    if (t == nullptr || __builtin_expect(t->bound == nullptr, true)) return t;
    hand_to_bound(t);
  }
}

namespace {

void set_running(task* t) noexcept {
  std::uint64_t word = t->word.load(std::memory_order_relaxed);                // order: the queue's hand-over has acquired it
  t->word.store(word::with(word, state::running), std::memory_order_release);  // order: before it runs, for the snapshot
}

}  // namespace

std::uintptr_t enter(worker* w, task* t) noexcept {
  if (t->stack_lo == 0) {
    if (!bind_stack(t, t->stack_class, &w->spare)) {
      base::say(
          "stray: no memory for a stack of %zu bytes (goroutine %llu); lower STRAY_STACK_SIZE or the number of goroutines",
          stack_size_of(t->stack_class), static_cast<unsigned long long>(t->id));
      base::fatal("out of memory for goroutine stacks");
    }
    t->sp = prepare_stack(t->stack_hi, t);
    fiber::create(t);
  }
  set_running(t);
  set_current_task(t);
  w->running = t;
  return t->sp;
}

void enter_in_place_of(task* ended, worker* w, task* t) noexcept {
  set_running(t);  // first: a runnable one with a stack has its registers there
  pass_stack(ended, t);
  set_current_task(t);
  w->running = t;
  free_task(w, ended);
}

void after_switch(worker* w) noexcept {
  task* t = w->previous;
  handover left = w->left;
  w->previous = nullptr;
  w->left = handover::nothing;
  switch (left) {
    case handover::nothing:
      return;
    case handover::parked: {
      std::uint64_t word = t->word.load(std::memory_order_acquire);  // order: pairs with the wakers' RMWs
      for (;;) {
        state now = word::state_of(word);
        state to = now == state::parking ? state::waiting : now == state::claimed_early ? state::claimed : state::runnable;
        if (t->word.compare_exchange_weak(word, word::with(word, to))) {
          if (to == state::runnable) enqueue(t, false);
          return;
        }
      }
    }
    case handover::yielded: {
      std::uint64_t word = t->word.load(std::memory_order_relaxed);                 // order: own word while running
      t->word.store(word::with(word, state::runnable), std::memory_order_release);  // order: before it is queued
      push_local(w, t);  // without a permit: find_work gives the queue away
      return;
    }
    case handover::dead:
      release_stack(t, &w->spare);
      free_task(w, t);
      return;
  }
}

void worker_main(worker* w) noexcept {
  w->exceptions = reinterpret_cast<exception_globals*>(abi::__cxa_get_globals());
  w->fiber = fiber::of_thread();
  for (;;) {
    task* t = find_work(w);
    std::uintptr_t to = enter(w, t);
    void* fake_stack = fiber::leave(t, w, false);
    stray_switch_context(&w->scheduler_sp, to);
    fiber::arrived(fake_stack);
    after_switch(w);
  }
}

void kick(worker* w) noexcept {
  std::uint32_t none = 0;
  if (w->wake.compare_exchange_strong(none, kicked)) base::futex_wake(w->wake, 1);
  w->granted.store(1);
  base::futex_wake(w->granted, 1);
}

task* alloc_task(worker* w) {
  task* t;
  if (w != nullptr && w->free_tasks != nullptr) {
    t = w->free_tasks;
    w->free_tasks = t->next;
    w->free_count--;
  } else {
    t = tasks().alloc();
    if (t == nullptr) throw std::bad_alloc();
  }
  t->next = nullptr;
  t->begin(state::init);                                                          // before the closure is moved in
  t->name(the_scheduler.next_id.fetch_add(1, std::memory_order_relaxed), false);  // order: uniqueness only
  return t;
}

void free_task(worker* w, task* t) noexcept {
  t->begin(state::free);                                    // nothing of it is used after
  t->closure_live.store(false, std::memory_order_relaxed);  // order: covered by word
  fiber::destroy(t);
  if (w != nullptr && w->free_count < base::capacity(256)) {
    t->next = w->free_tasks;
    w->free_tasks = t;
    w->free_count++;
  } else {
    tasks().release(t);
  }
}

void wake_for_timer() noexcept {
  scheduler& s = the_scheduler;
  base::full_fence();  // rule 3
  if (worker* keeper = s.timekeeper.load()) {
    if (pop_idle(keeper) == keeper) rouse(keeper, woken);
    return;
  }
  wake_one();
}

}  // namespace stray::runtime
