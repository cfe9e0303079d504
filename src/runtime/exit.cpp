#include "runtime/exit.h"

#include <climits>

#include "base/clock.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "runtime/current.h"
#include "runtime/permits.h"
#include "runtime/scheduler.h"

namespace stray::runtime {

namespace {

std::atomic<int> exit_tid{0};
std::atomic<int> retaken_at_exit{0};

void stop_goroutines() noexcept {
  scheduler& s = sched();
  s.exiting.store(1);
  int made = s.made.load();
  int away = current_worker() != nullptr ? 1 : 0;  // exit() was called on a goroutine
  for (int i = 0; i < made; i++) {
    permit lent = permit::lent;  // in a blocking call, whose end finds no permit
    if (s.workers[i].permit.compare_exchange_strong(lent, permit::none)) {
      s.lent.fetch_sub(1);
      retaken_at_exit.fetch_add(1);
      away++;
    }
    kick(&s.workers[i]);
  }
  std::int64_t end = base::now_ns() + 100'000'000;
  while (s.stopped_at_exit.load() + away < made && base::now_ns() < end) {
    base::nap(200'000);
  }
}

}  // namespace

void stop_goroutines_at_exit() noexcept {
  exit_tid.store(base::sys::gettid());
  if (current_worker() != nullptr) sched().exit_task.store(current_task_or_null());
  stop_goroutines();
}

void forget_exit() noexcept {
  exit_tid.store(0);
  retaken_at_exit.store(0);
}

void resume_goroutines() noexcept {
  scheduler& s = sched();
  s.exiting.store(0);
  base::futex_wake(s.exiting, INT_MAX);
  for (int n = retaken_at_exit.exchange(0); n > 0; n--) give_permit();
}

goroutines_in_exit::goroutines_in_exit() noexcept
    : resumed_(sched().exiting.load() != 0 && exit_tid.load() == base::sys::gettid()) {
  if (resumed_) resume_goroutines();
}
goroutines_in_exit::~goroutines_in_exit() {
  if (resumed_) stop_goroutines();
}

}  // namespace stray::runtime
