// Goroutines, and the OS threads that use their primitives, as a task source: the part that runs in the process (frozen.h has the child's).
#include <algorithm>
#include <sys/uio.h>
#include <unistd.h>

#include "leak/goroutines/frozen.h"
#include "leak/goroutines/host.h"
#include "leak/goroutines/read_wait.h"
#include "leak/goroutines/settle.h"
#include "leak/goroutines/source.h"
#include "leak/goroutines/stacks.h"
#include "profile/symbolize.h"
#include "runtime/context.h"
#include "runtime/parents_tasks.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/service_thread.h"
#include "runtime/started.h"
#include "runtime/watcher.h"
#include "sync/barrier_word.h"
#include "sync/chan_core.h"
#include "trace/task_list.h"

namespace stray::leak {

namespace {

using runtime::state;
using runtime::task;
using runtime::wait_reason;

frozen_goroutines capture() noexcept {
  frozen_goroutines v;
  v.tasks = &runtime::tasks();
  v.cores = &sync::cores();
  v.ended_holds = &runtime::ended_holds();
  v.detector_tid = detector_tid();
  v.watcher_tid = runtime::watcher_tid();
  v.services = &runtime::services();
  v.stacks = runtime::stack_views();
  v.forking_record = &runtime::forking_record;
  v.workers = runtime::sched().workers;
  v.worker_count = runtime::max_workers;
  v.timers = &runtime::timers();
  return v;
}

bool may_be_reported(const task& t) noexcept {
  return t.current_state() == state::waiting &&
         runtime::eligible(std::atomic_ref(const_cast<task&>(t).reason).load(std::memory_order_relaxed)) &&  // order: a hint
         !t.is_main;
}

bool exists(state s) noexcept { return s != state::free && s != state::dead && s != state::init; }

task* task_of(std::uint64_t id) noexcept {
  base::slab<task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task* t = all.at(i);
    if (t->id == id && exists(t->current_state())) return t;
  }
  return nullptr;
}

// Does it run in a goroutine that some wait_group's `go` has started?
bool is_counted(const finding& f) {
  constexpr std::size_t at_root = 4;
  for (std::size_t i = f.pcs.size() - std::min(f.pcs.size(), at_root); i < f.pcs.size(); i++) {
    for (const profile::source_line& l : profile::symbolize(f.pcs[i] - 1)) {
      std::string_view name = l.function;
      if (constexpr std::string_view runs = "stray::detail::run_small<"; name.starts_with(runs))
        name.remove_prefix(runs.size());
      if (name.starts_with("stray::wait_group::counted<")) return true;
    }
  }
  return false;
}

std::string permits_text(std::uint64_t n) {
  return (n == 0 ? "no permit is" : std::to_string(n) + (n == 1 ? " permit is" : " permits are")) + " left";
}

class goroutine_source final : public task_source {
 public:
  void settle() noexcept override { let_goroutines_settle(); }

  std::size_t candidates() const noexcept override {
    base::slab<task>& all = runtime::tasks();
    std::size_t n = 0;
    for (std::size_t i = 1; i < all.used(); i++) n += may_be_reported(*all.at(i));
    return n;
  }
  std::size_t records() const noexcept override { return runtime::tasks().used(); }

  frozen_source look() override {
    frozen_ = capture();
    return {&frozen_,
            count_records,
            fill_graph,
            role_of_thread,
            saved_registers,
            {reinterpret_cast<std::uintptr_t>(&runtime::goroutine_entry),
             reinterpret_cast<std::uintptr_t>(&runtime::stray_entry_end)}};
  }

  thread_kind kind_of(int tid) const noexcept override {
    if (tid == runtime::watcher_tid()) return thread_kind::own;
    runtime::scheduler& s = runtime::sched();
    for (int i = 0; i < s.made.load(); i++) {
      const runtime::worker& w = s.workers[i];
      if (w.tid.load() != tid) continue;
      trace::task_look look;
      const bool may_sleep_for_others = !w.asleep.load() && trace::look_at_task(tid, look) && look.state != 'R';
      return may_sleep_for_others ? thread_kind::sleeping : thread_kind::own;
    }
    return thread_kind::foreign;
  }

  // One load of the word decides; a record's seq never comes back (runtime/task.h 6).
  bool waits_still(std::uint32_t record, wait_id w) const noexcept override {
    const task& t = *runtime::tasks().at(record);
    const std::uint64_t word = t.word.load();
    return runtime::word::state_of(word) == state::waiting && t.wait(word) == w;
  }

  std::optional<finding> describe(std::uint32_t record, wait_id w, thread_stacks& threads, bool listed) override {
    return describe_wait(*runtime::tasks().at(record), w, threads, listed);
  }
  void note_wrong(std::uint32_t record, wait_id w) noexcept override { runtime::mark_listed(runtime::tasks().at(record), w); }

  std::vector<wait_ref> waiting() const override {
    std::vector<wait_ref> out;
    base::slab<task>& all = runtime::tasks();
    for (std::size_t i = 1; i < all.used(); i++) {
      const task& t = *all.at(i);
      const std::uint64_t word = t.word.load();
      if (may_be_reported(t)) out.push_back({static_cast<std::uint32_t>(i), t.wait(word)});
    }
    return out;
  }

  std::uint64_t main_task() const noexcept override {
    base::slab<task>& all = runtime::tasks();
    for (std::size_t i = 1; i < all.used(); i++) {
      if (all.at(i)->is_main && all.at(i)->current_state() != state::free) return all.at(i)->id;
    }
    return 0;
  }

  std::optional<task_state> state_of(std::uint64_t id) const override {
    const task* t = runtime::started() ? task_of(id) : nullptr;
    if (t == nullptr) return std::nullopt;
    task_state out;
    out.thread = t->is_thread;
    out.tid = t->tid;
    const state now = t->current_state();
    if (now == state::waiting) {
      const wait_reason reason = std::atomic_ref(const_cast<wait_reason&>(t->reason)).load();
      out.what = runtime::eligible(reason) ? task_state::blocked : task_state::waits_for_what_ends;
      out.waits = runtime::text_of(reason);
    } else {
      out.what = now == state::running || now == state::parking ? task_state::running : task_state::about_to_run;
    }
    return out;
  }

  std::vector<std::uintptr_t> frames_of(std::uint64_t id) const override {
    task* t = task_of(id);
    const std::uint64_t word = t == nullptr ? 0 : t->word.load();
    if (runtime::word::state_of(word) != state::waiting || !runtime::begin_inspection(t, t->wait(word))) return {};
    std::vector<std::uintptr_t> pcs = read_stack(*t);
    runtime::end_inspection(t);
    return pcs;
  }

  std::uint64_t owner_of_stack(std::uintptr_t address) const noexcept override {
    const task* t = runtime::stack_owner(address, nullptr);
    return t == nullptr ? 0 : t->id;
  }

  std::uintptr_t core_made_at(std::uint32_t core) const noexcept override { return sync::cores().at(core)->made_at; }

  // Read through the kernel: its memory may be gone.
  std::string state_of_primitive(const finding& f) const override {
    std::uint64_t word = 0;
    iovec to{&word, sizeof word}, from{reinterpret_cast<void*>(~f.masked_primitive), sizeof word};
    if (f.masked_primitive == 0 || process_vm_readv(getpid(), &to, 1, &from, 1, 0) != sizeof word) return {};
    const std::uint64_t high = word >> 32;
    auto waits = [&](wait_reason r) { return f.waits == runtime::text_of(r); };
    if (waits(wait_reason::wait_group_wait))
      return "; its counter is " + std::to_string(high) +
             (f.waits_for == 0 && is_counted(f) ? ", and it may be counted there itself: it was started by a wait_group's go"
                                                : "");
    if (waits(wait_reason::latch_wait)) return "; its counter is " + std::to_string(high);
    if (waits(wait_reason::semaphore_acquire)) return "; " + permits_text(high);
    if (waits(wait_reason::barrier_wait))
      return "; " + std::to_string(sync::barrier_word::pending(word)) + " of " +
             std::to_string(sync::barrier_word::expected(word)) + " have not arrived";
    return {};
  }

 private:
  frozen_goroutines frozen_;  // leads to nothing of the user's: hidden memory and our own statics
};

constinit goroutine_source the_goroutines;
}  // namespace

task_source& goroutines() noexcept { return the_goroutines; }

}  // namespace stray::leak
