// go(f): a record, a closure in it, no stack yet.
#include <new>
#include <stdexcept>
#include <utility>

#include "base/check.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "runtime/after_fork.h"
#include "runtime/context.h"
#include "runtime/creators.h"
#include "runtime/current.h"
#include "runtime/labels.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/stack.h"
#include "runtime/started.h"
#include "runtime/switch_away.h"
#include "runtime/timer.h"

namespace stray {

namespace detail {

using runtime::drop_labels;
using runtime::share_labels;
using runtime::task;
using runtime::worker;

namespace {
[[gnu::noinline]] void name_it(task* t, worker* w, std::string_view name, const task* creator) {
  try {
    drop_labels(std::exchange(t->labels, runtime::named_labels(creator != nullptr ? creator->labels : nullptr, name)));
  } catch (...) {
    drop_labels(std::exchange(t->labels, nullptr));
    runtime::free_task(w, t);
    throw;
  }
}

// frame: of who was called from there, with its caller's rbp and return address.
[[gnu::always_inline]] inline void note_creators(task* t, const task* creator, std::uintptr_t frame) noexcept {
  t->created_by = runtime::word_of_stack(frame + 8);
  runtime::callers_of(t->created_by, frame + 16, runtime::word_of_stack(frame), runtime::stack_of(creator), t->callers);
}
}  // namespace

[[gnu::noinline]] spawn_slot spawn_begin(const closure_ops& ops, const go_options& options) {
  runtime::ensure_started();
  worker* w = runtime::current_worker();
  task* t = runtime::alloc_task(w);
  task* creator = runtime::current_task_or_null();
  note_creators(t, creator, reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
  t->creator_id = creator != nullptr && !creator->is_thread ? creator->id : 0;
  t->labels = creator != nullptr ? share_labels(creator->labels) : nullptr;
  if (!options.name.empty()) [[unlikely]]
    name_it(t, w, options.name, creator);
  t->stack_class = options.stack_size == 0 ? runtime::default_stack_class()
                                           : static_cast<std::uint8_t>(runtime::stack_class_for(options.stack_size));
  t->closure_size = ops.size;
  t->closure_align = ops.align;
  t->run = ops.run;
  t->unwinds = ops.unwinds;
  t->is_thread.store(false, std::memory_order_relaxed);  // order: covered by word
  t->is_main.store(false, std::memory_order_relaxed);    // order: covered by word
  if (ops.small) {
    t->closure_at = t->closure;
  } else {
    try {
      t->closure_at = ::operator new(ops.size, std::align_val_t(ops.align));
    } catch (...) {
      drop_labels(std::exchange(t->labels, nullptr));
      runtime::free_task(w, t);
      throw;
    }
  }
  t->closure_live.store(true, std::memory_order_relaxed);  // order: covered by word
  return {t->closure_at, t};
}

void spawn_commit(const spawn_slot& slot) noexcept {
  auto* t = static_cast<task*>(slot.record);
  t->begin(runtime::state::runnable);  // the closure is complete
  if (worker* w = runtime::current_worker()) {
    w->started.store(w->started.load(std::memory_order_relaxed) + 1,
                     std::memory_order_relaxed);  // order: a counter of one writer
  } else {
    runtime::sched().started_outside.fetch_add(1, std::memory_order_relaxed);  // order: a counter
  }
  runtime::enqueue(t, true);
}

void spawn_abandon(const spawn_slot& slot) noexcept {
  auto* t = static_cast<task*>(slot.record);
  if (t->closure_at != t->closure) ::operator delete(t->closure_at, std::align_val_t(t->closure_align));
  drop_labels(std::exchange(t->labels, nullptr));
  runtime::free_task(runtime::current_worker(), t);
}

void closure_moved() noexcept {
  runtime::current_task_or_null()->closure_live.store(false, std::memory_order_relaxed);  // order: own record, for the snapshot
}

}  // namespace detail

namespace runtime {

namespace {

void end(task* t) noexcept {
  std::uint64_t word = t->word.load(std::memory_order_relaxed);             // order: own word
  t->word.store(word::with(word, state::dead), std::memory_order_release);  // order: for the snapshot
}

}  // namespace

// Runs on the goroutine's own stack. There is no handler between user code and the end of the stack: an exception that leaves the closure
// finds none and reaches std::terminate with the whole stack in place.
task* goroutine_main(task* t) {
  fiber::arrived(nullptr);
  after_switch(current_worker());
  *current_worker()->exceptions = {};
  t->run(t->closure_at);
  retire(t);
  end(t);
  worker* w = current_worker();
  task* next = pick(w);
  if (!fiber::own_stacks && next != nullptr && next->stack_lo == 0 && next->stack_class == t->stack_class) {
    enter_in_place_of(t, w, next);
    return next;
  }
  switch_to(w, t, handover::dead, next);
  __builtin_unreachable();
}

void retire(task* t) noexcept {
  if (t->holds.any()) end_holds(t->holds, t->id);
  if (t->labels != nullptr) drop_labels(std::exchange(t->labels, nullptr));
  worker* w = current_worker();
  if (t->bound != nullptr) {  // ended without unlock_os_thread
    if (w == nullptr) end_of_forking_goroutine();
    t->bound = nullptr;
    w->bound = nullptr;
    t->os_locks = 0;
  }
  // order: who counts the goroutine as finished sees what it did
  w->finished.store(w->finished.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void leave_for_ever(task* t) {
  end(t);
  switch_away(current_worker(), t, handover::dead);
  __builtin_unreachable();
}

void yield_now(worker* w) {
  exception_globals saved = *w->exceptions;
  switch_away(w, current_task(), handover::yielded);
  *current_worker()->exceptions = saved;
}

}  // namespace runtime

void yield() {
  runtime::worker* w = runtime::current_worker();
  if (w == nullptr) {
    base::yield_core();
    return;
  }
  if (w->run_next.load(std::memory_order_relaxed) == nullptr && w->queue.size() == 0 &&
      runtime::sched().global_size.load(std::memory_order_relaxed) == 0 && runtime::next_deadline() == runtime::no_deadline &&
      w->permit.load(std::memory_order_relaxed) == runtime::permit::held) {  // order: hints
    return;                                                                  // nobody to yield to
  }
  runtime::yield_now(w);
}

void detail::sleep_until_blocking(time_point when) {
  runtime::ensure_started();
  if (when.time_since_epoch().count() <= runtime::timer_now_ns()) return yield();  // a fake clock would not end it
  runtime::task* self = runtime::current_task();
  runtime::prepare_wait(self, runtime::wait_reason::sleep, nullptr, 0);
  runtime::arm_timer(self, when.time_since_epoch().count());
  runtime::park(self);
}

time_point detail::timer_after(std::int64_t ns) noexcept {
  return time_point(std::chrono::nanoseconds(runtime::timer_after_ns(ns)));
}

std::uint64_t goroutine_id() noexcept {
  runtime::task* t = runtime::current_task_or_null();
  return t != nullptr && !t->is_thread ? t->id : 0;
}

std::size_t num_goroutine() noexcept {
  runtime::scheduler& s = runtime::sched();
  std::int64_t n = 0;
  int made = s.made.load();
  for (int i = 0; i < made; i++) n -= static_cast<std::int64_t>(s.workers[i].finished.load());
  n += static_cast<std::int64_t>(s.started_outside.load());
  for (int i = 0; i < made; i++) n += static_cast<std::int64_t>(s.workers[i].started.load());
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

}  // namespace stray
