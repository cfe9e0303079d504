#include "runtime/deadlock.h"

#include <cstdlib>
#include <dirent.h>

#include <stray/go.hpp>
#include "base/check.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "runtime/scheduler.h"
#include "runtime/thread.h"
#include "runtime/timer.h"

namespace stray::runtime {

namespace {

std::atomic<bool> enabled{true};
constexpr int most_passive = 8;
std::atomic<int> passive[most_passive];

// A hint, since the task may move on: epoch() tells whether it has.
bool waits_for_another(task& t, std::uint64_t word) noexcept {
  // order: written before the state
  return word::state_of(word) == state::waiting && eligible(std::atomic_ref(t.reason).load(std::memory_order_relaxed));
}

task* main_task() noexcept {
  base::slab<task>& all = tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task* t = all.at(i);
    if (t->is_main && word::state_of(t->word.load()) != state::free) return t;
  }
  return nullptr;
}

// What changes whenever anything happens.
std::uint64_t epoch() noexcept {
  scheduler& s = sched();
  std::uint64_t sum = 0;
  for (int i = 0; i < s.made.load(); i++) sum += s.workers[i].tick.load();
  base::slab<task>& all = tasks();
  for (std::size_t i = 1; i < all.used(); i++) sum = sum * 31 + all.at(i)->word.load();
  return sum + s.started_outside.load();
}

bool all_tasks_wait() noexcept {
  base::slab<task>& all = tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task& t = *all.at(i);
    std::uint64_t word = t.word.load();
    state now = word::state_of(word);
    if (now == state::free || now == state::dead || waits_for_another(t, word)) continue;
    if (t.is_thread && thread_start_time(t.tid) != t.thread_start) continue;  // it has ended
    return false;
  }
  return true;
}

bool is_at_rest(int tid) noexcept {
  scheduler& s = sched();
  if (tid == base::thread_id()) return true;
  for (const std::atomic<int>& p : passive) {
    if (p.load() == tid) return true;
  }
  for (int i = 0; i < s.made.load(); i++) {
    if (s.workers[i].tid.load() == tid) return s.workers[i].asleep.load();
  }
  base::slab<task>& all = tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task& t = *all.at(i);
    if (t.is_thread && t.tid == tid && waits_for_another(t, t.word.load())) return true;
  }
  return false;
}

bool all_threads_rest() noexcept {
  DIR* dir = opendir("/proc/self/task");
  if (dir == nullptr) return false;
  bool rest = true;
  while (dirent* entry = readdir(dir)) {
    int tid = std::atoi(entry->d_name);
    if (tid != 0 && !is_at_rest(tid)) {
      rest = false;
      break;
    }
  }
  closedir(dir);
  return rest;
}

bool quiet() noexcept {
  scheduler& s = sched();
  return s.idle_count.load() == s.procs.load() && s.lent.load() == 0 && s.global_size.load() == 0 && timers_at_rest();
}

}  // namespace

bool may_deadlock() noexcept {
  task* t = enabled.load() ? main_task() : nullptr;
  return t != nullptr && waits_for_another(*t, t->word.load());
}

void check_deadlock() noexcept {
  if (!may_deadlock()) return;
  std::uint64_t before = epoch();
  if (!quiet() || !all_tasks_wait() || !all_threads_rest() || !quiet() || epoch() != before || !may_deadlock()) return;
  base::fatal("all goroutines are asleep - deadlock!");
}

void forget_passive_threads() noexcept {
  for (std::atomic<int>& p : passive) p.store(0);
}

void register_passive_thread() noexcept {
  for (std::atomic<int>& p : passive) {
    int none = 0;
    if (p.compare_exchange_strong(none, base::thread_id())) return;
  }
}

}  // namespace stray::runtime

namespace stray {

void deadlock_check(bool on) noexcept { runtime::enabled.store(on); }

}  // namespace stray
