#include "leak/goroutines/settle.h"

#include "base/clock.h"
#include "base/sync_shim.h"
#include "runtime/scheduler.h"
#include "trace/task_list.h"

namespace stray::leak {

namespace {

constexpr std::int64_t computing_ns = 5'000'000, limit_ns = 200'000'000, look_every_ns = 50'000;

// In the middle of a goroutine, and not asleep in a system call of its own.
bool on_its_way(const runtime::worker& w) noexcept {
  if (w.asleep.load() || w.tid.load() == 0) return false;
  trace::task_look look;
  return trace::look_at_task(w.tid.load(), look) && look.state == 'R';
}

}  // namespace

void let_goroutines_settle() noexcept {
  struct at_begin {
    std::uint32_t tick = 0;
    std::uint64_t ran_ns = 0;
    bool due = false;
  };
  static at_begin seen[runtime::max_workers];  // the detector's thread alone
  runtime::scheduler& s = runtime::sched();
  const int made = s.made.load();
  for (int i = 0; i < made; i++) {
    const runtime::worker& w = s.workers[i];
    seen[i] = {w.tick.load(), 0, on_its_way(w)};
    if (seen[i].due) trace::time_on_processor(w.tid.load(), seen[i].ran_ns);
  }
  const std::int64_t start = base::now_ns();
  for (;;) {
    bool any = false;
    const std::int64_t waited = base::now_ns() - start;
    for (int i = 0; i < made && waited < limit_ns; i++) {
      at_begin& b = seen[i];
      if (!b.due) continue;
      const runtime::worker& w = s.workers[i];
      std::uint64_t ran = 0;
      bool known = trace::time_on_processor(w.tid.load(), ran);
      bool computes = known ? ran - b.ran_ns >= computing_ns : waited >= computing_ns;
      b.due = !computes && w.tick.load() == b.tick && on_its_way(w);
      any = any || b.due;
    }
    if (!any) return;
    base::nap(look_every_ns);
  }
}

}  // namespace stray::leak
