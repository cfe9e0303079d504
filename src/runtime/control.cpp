#include <stray/testing/control.hpp>

#include <atomic>

#include <stray/go.hpp>
#include <stray/panic.hpp>
#include "base/clock.h"
#include "base/stale_words.h"
#include "base/sync_shim.h"
#include "runtime/current.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"
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

// Goroutines that run or are about to, without the caller.
std::size_t busy_now() noexcept {
  using runtime::state;
  std::size_t n = 0;
  base::slab<runtime::task>& all = runtime::tasks();
  const runtime::task* self = runtime::current_task_or_null();
  for (std::size_t i = 1; i < all.used(); i++) {
    runtime::task* t = all.at(i);
    state now = t->current_state();
    n += !t->is_thread && t != self && now != state::free && now != state::dead && now != state::init && now != state::waiting;
  }
  return n;
}

// Between a test's scene and its report: what the scene left on this stack would hide its leak.
template <class Done>
[[gnu::noinline]] bool until(Done done, std::int64_t limit_ns) {
  base::clear_stack_below();
  const std::int64_t end = limit_ns < 0 ? 0 : base::now_ns() + limit_ns;
  while (!done()) {
    if (limit_ns >= 0 && base::now_ns() >= end) return false;
    if (runtime::current_worker() != nullptr) {
      yield();
    } else {
      base::nap(100'000);
    }
  }
  return true;
}
}  // namespace

void until_parked(std::size_t n) {
  until([n] { return parked_now() >= n; }, -1);
}
void until_pending(std::size_t n) {
  until([n] { return runtime::timers().size.load() >= n; }, -1);
}
bool detail::until_settled_ns(std::int64_t limit_ns) {
  return until([] { return busy_now() == 0; }, limit_ns);
}

fake_clock::fake_clock() {
  runtime::ensure_started();
  if (!runtime::begin_fake_time()) throw panic("stray::testing::fake_clock: there is one already");
}
fake_clock::~fake_clock() { runtime::end_fake_time(); }
time_point fake_clock::now() const noexcept { return time_point(std::chrono::nanoseconds(runtime::timer_now_ns())); }
void fake_clock::advance_ns(std::int64_t ns) { runtime::advance_fake_time(ns); }

}  // namespace stray::testing
