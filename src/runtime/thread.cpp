#include "runtime/thread.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/read_file.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "runtime/current.h"
#include "runtime/parents_tasks.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"

namespace stray::runtime {

namespace {

// Threads that have ended, or are about to: their records stay until the kernel has forgotten the thread, since a destructor of a
// thread_local may still unlock what the thread holds.
base::spin_lock ended_lock;
task* ended = nullptr;

void sweep_ended() noexcept {
  ended_lock.lock();
  task** link = &ended;
  while (task* t = *link) {
    if (thread_start_time(t->tid) == t->thread_start) {
      link = &t->next;
      continue;
    }
    *link = t->next;
    end_holds(t->holds, t->id);
    t->begin(state::free);
    tasks().release(t);
  }
  ended_lock.unlock();
}

struct thread_end {
  task* record = nullptr;
  ~thread_end() {
    if (record == nullptr) return;
    ended_lock.lock();
    record->next = ended;
    ended = record;
    ended_lock.unlock();
  }
};
thread_local thread_end at_thread_end;

}  // namespace

namespace {
task* identify_thread(task* t) noexcept {
  t->tid = base::thread_id();
  t->is_main = t->tid == base::sys::getpid();
  t->thread_start = thread_start_time(t->tid);
  set_current_task(t);
  at_thread_end.record = t;
  return t;
}
}  // namespace

void forget_ended_threads() noexcept {
  ended_lock.free_in_child();
  ended = nullptr;
}

[[gnu::noinline]] task* make_thread_task() {
  ensure_started();
  if (task* t = take_forking_record()) return identify_thread(t);
  sweep_ended();
  task* t = tasks().alloc();
  if (t == nullptr) throw std::bad_alloc();
  t->name(sched().next_id.fetch_add(1, std::memory_order_relaxed), true);  // order: uniqueness only
  t->is_thread = true;
  t->next = nullptr;
  t->futex.store(0);
  t->set_creator(0, 0);
  t->stack_lo = t->stack_hi = 0;
  t->nodes = nullptr;
  t->node_count = 0;
  t->begin(state::running);
  return identify_thread(t);
}

namespace {

// What follows the name in a thread's stat: " S 1 ..."; nullptr: there is no such thread.
char* read_stat(int tid, char (&text)[512]) noexcept {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  if (!base::read_file(path, text, sizeof text)) return nullptr;
  char* name_end = std::strrchr(text, ')');  // the name may hold anything
  return name_end == nullptr ? nullptr : name_end + 1;
}

}  // namespace

std::uint64_t thread_start_time(int tid) noexcept {
  char text[512];
  char* p = read_stat(tid, text);
  for (int field = 3; p != nullptr && field < 22; field++) p = std::strchr(p + 1, ' ');
  return p == nullptr ? 0 : std::strtoull(p + 1, nullptr, 10);
}

char thread_state(int tid) noexcept {
#if defined(STRAY_SIM)
  return base::thread_state(tid);
#else
  char text[512];
  char* p = read_stat(tid, text);
  return p == nullptr ? '\0' : p[1];
#endif
}

}  // namespace stray::runtime
