#include <stray/testing/control.hpp>

#include <atomic>

#include <stray/go.hpp>
#include <stray/panic.hpp>
#include "base/stale_words.h"
#include "base/sync_shim.h"
#include "runtime/current.h"
#include "runtime/scheduler.h"
#include "runtime/task.h"
#include "runtime/timer.h"

namespace stray::testing {

namespace {
std::size_t parked_now() noexcept {
  std::size_t n = 0;
  base::slab<runtime::task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    runtime::task* t = all.at(i);
    // order: a hint, asked again and again
    n += t->current_state() == runtime::state::waiting && !t->is_thread &&
         std::atomic_ref(t->reason).load(std::memory_order_relaxed) != runtime::wait_reason::sleep;
  }
  return n;
}

// Between a test's scene and its report: what the scene left on this stack would hide its leak.
template <class Count>
[[gnu::noinline]] void until(std::size_t n, Count count) {
  base::clear_stack_below();
  while (count() < n) {
    if (runtime::current_worker() != nullptr) {
      yield();
    } else {
      base::nap(100'000);
    }
  }
}
}  // namespace

void until_parked(std::size_t n) { until(n, parked_now); }
void until_pending(std::size_t n) {
  until(n, [] { return std::size_t{runtime::timers().size.load()}; });
}

fake_clock::fake_clock() {
  runtime::ensure_started();
  if (!runtime::begin_fake_time()) throw panic("stray::testing::fake_clock: there is one already");
}
fake_clock::~fake_clock() { runtime::end_fake_time(); }
time_point fake_clock::now() const noexcept { return time_point(std::chrono::nanoseconds(runtime::timer_now_ns())); }
void fake_clock::advance_ns(std::int64_t ns) { runtime::advance_fake_time(ns); }

}  // namespace stray::testing
