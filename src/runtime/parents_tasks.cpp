#include "runtime/parents_tasks.h"

#include <pthread.h>
#include <utility>

#include "runtime/current.h"
#include "runtime/task.h"

namespace stray::runtime {

constinit std::atomic<bool> parents_tasks_live{false};
task* forking_record = nullptr;

namespace {
pthread_t forking_thread;
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

}  // namespace stray::runtime
