#include "runtime/after_fork.h"

#include <cstdlib>
#include <pthread.h>
#include <utility>

#include "base/first_stack.h"
#include "base/sync_shim.h"
#include "runtime/current.h"
#include "runtime/start.h"
#include "runtime/task.h"

namespace stray::runtime {

constinit std::atomic<bool> parents_tasks_live{false};
task* forking_record = nullptr;

namespace {
pthread_t forking_thread;
pthread_key_t at_end_of_thread;
bool key_made = false;

// Not by the end of [stack]: what glibc calls main's stack ends with the page of its first frame, below the environment.
bool is_main_thread() noexcept {
  void* lo = nullptr;
  std::size_t size = 0;
  base::own_stack(&lo, &size);
  return size == 0 || base::first_stack_end() - reinterpret_cast<std::uintptr_t>(lo) < size;  // 0: cannot be told
}

void end_of_forking_thread(void* /*set*/) noexcept {
  if (started() && !is_main_thread()) std::exit(0);
}
}  // namespace

void watch_end_of_forking_thread() noexcept { key_made = pthread_key_create(&at_end_of_thread, end_of_forking_thread) == 0; }
void note_forking_thread() noexcept {
  if (key_made) pthread_setspecific(at_end_of_thread, &key_made);
}

void remember_forking_thread() noexcept {
  worker* w = current_worker();
  task* t = current_task_or_null();
  // A second fork before the first use: nobody runs here, but the record is still to be taken.
  if (t != nullptr || !pthread_equal(forking_thread, pthread_self())) forking_record = t;
  forking_thread = pthread_self();
  if (w != nullptr && t != nullptr) t->bound = w;  // its end looks twice (retire)
  set_current_task(nullptr);
  set_current_worker(nullptr);
  parents_tasks_live.store(true);
}

void end_parents_tasks() noexcept {
  if (!parents_tasks_live.load()) return;
  base::slab<task>& all = tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task* t = all.at(i);
    std::uint64_t word = t->word.load(std::memory_order_relaxed);  // order: nobody else is here
    state now = word::state_of(word);
    if (t == forking_record || now == state::free || now == state::dead) continue;
    t->word.store(word::anew(word, state::dead));
    t->is_main.store(false);
  }
  parents_tasks_live.store(false);
}

void give_up_parents_holds() noexcept {
  base::slab<task>& all = tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task* t = all.at(i);
    if (t->current_state() == state::dead && t->holds.any()) end_holds(t->holds, t->id);
  }
}

task* take_forking_record() noexcept {
  if (forking_record == nullptr || !pthread_equal(forking_thread, pthread_self())) return nullptr;
  task* t = std::exchange(forking_record, nullptr);
  t->is_thread = true;
  t->stack_lo = t->stack_hi = 0;  // a goroutine's: a stack of its own making now, never used again
  t->futex.store(0);
  return t;
}

void end_of_forking_goroutine() noexcept { std::exit(0); }

}  // namespace stray::runtime
