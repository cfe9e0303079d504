// A timer's state is one ordinary heap block: the entry in the heap of timers, a full handle of the channel, and behind it after_func's function.
// So whoever leads to the block can wake the receivers, and no byte of a user's is hidden.
//
// 1. refs counts the handles together as one, the pending arming, each popped one until its callback has returned, and each goroutine that
//    runs f. The last one destroys f, so never the callback of an after_func: it passes its reference on to the goroutine.
// 2. handles counts the handles; the last one stops a ticker.
// 3. `lock` serialises firing with stop and reset: a value is sent under it, and the channel drained under it; so none that is older than
//    a stop is received after it. Order: timer_block::lock, then the heap's lock or a channel's.
// 4. A pending timer of which neither a handle nor its channel is held any more is dropped, a little at a time, when others are made: after()
//    in a loop does not pile up.
// 5. A value is sent while the arming is listed as firing, and its receiver claimed (CLAIM) before that ends.
#include <stray/time.hpp>

#include <algorithm>
#include <new>

#include <stray/panic.hpp>
#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"
#include "runtime/timer.h"
#include "sync/chan_core.h"
#include "sync/start_goroutine.h"

namespace stray {

using runtime::stopped;
using runtime::timer_entry;

struct detail::timer_block {
  timer_entry entry;
  std::atomic<std::uint32_t> refs{1}, handles{1};
  base::spin_lock lock;
  std::int64_t period = 0;  // ticker; written under lock
  chan<time_point> ch;      // nil for after_func
  const after_func_ops* ops = nullptr;
  std::uintptr_t made_at = 0;
  std::uint64_t maker = 0;

  void* function() noexcept {
    std::uintptr_t at = reinterpret_cast<std::uintptr_t>(this + 1);
    return reinterpret_cast<void*>((at + ops->align - 1) & ~(std::uintptr_t{ops->align} - 1));
  }
};

namespace {

using detail::timer_block;

// std::align_val_t of the block is that of every new: f's place is aligned by hand.
timer_block* make_block(std::size_t room, std::uintptr_t made_at) {
  runtime::ensure_started();
  timer_block* t = ::new (::operator new(sizeof(timer_block) + room)) timer_block;
  t->made_at = made_at;
  t->maker = goroutine_id();
  return t;
}
void free_block(timer_block* t) noexcept {
  t->~timer_block();
  ::operator delete(t);
}

void release(timer_block* t) noexcept {
  // order: acq_rel, so that the last one sees all that the others did
  if (t->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (t->ops != nullptr) t->ops->destroy(t->function());
  free_block(t);
}

struct run_function {
  timer_block* t;  // a reference
  explicit run_function(timer_block* adopt) noexcept : t(adopt) {}
  run_function(run_function&& other) noexcept : t(std::exchange(other.t, nullptr)) {}
  ~run_function() {
    if (t != nullptr) release(t);
  }
  void operator()() { t->ops->call(t->function()); }
};

// The reference of the arming comes with it.
void fire(timer_entry* e, std::uint64_t seq, std::int64_t now_ns) noexcept {
  static_assert(__builtin_offsetof(timer_block, entry) == 0);
  auto* t = reinterpret_cast<timer_block*>(e);
  bool kept = false, earliest = false, run = false;
  runtime::task* wake = nullptr;
  t->lock.lock();
  if (runtime::take_due(e, seq)) {
    if (t->period != 0) {  // armed again at once: the reference stays with it
      std::int64_t was = e->when_ns.load(std::memory_order_relaxed), next = 0;  // order: written under the same lock
      if (__builtin_add_overflow(was, t->period * (1 + (now_ns - was) / t->period), &next)) {
        next = runtime::no_deadline - 1;
      }
      earliest = runtime::arm_callback(e, next);
      kept = true;
    }
    run = t->ops != nullptr;
    if (!run) {
      time_point value{std::chrono::nanoseconds(now_ns)};
      detail::chan_core* c = t->ch.core();
      c->lock.lock();
      sync::send_locked(c, &value, &wake);
      c->lock.unlock();
    }
  }
  t->lock.unlock();
  if (wake != nullptr) runtime::make_runnable(wake);
  if (earliest) runtime::wake_for_timer();
  if (run) {
    sync::start_goroutine(run_function(t), t->made_at, t->maker);
  } else if (!kept) {
    release(t);
  }
}

// Once true it stays true: handles are made from handles.
bool useless(const timer_entry* e) noexcept {
  auto* t = reinterpret_cast<const timer_block*>(e);
  return t->ops == nullptr && t->handles.load() == 0 &&
         reinterpret_cast<const detail::core_refs*>(t->ch.core())->count.load() == 1;
}

// The lock is held. true: it was pending, or its value had not been received. *owned: the arming's reference is the caller's now.
bool stop_locked(timer_block* t, bool* owned) noexcept {
  stopped was = runtime::stop_callback(&t->entry);
  *owned = was == stopped::removed;
  bool stale = false;
  if (t->ch) {
    alignas(time_point) unsigned char value[sizeof(time_point)];
    stale = detail::chan_try_recv(t->ch.core(), value) == chan_status::ok;
  }
  return was != stopped::idle || stale;
}

void start(timer_block* t, std::int64_t ns) noexcept {
  t->entry.fire = fire;
  // order: a reference made from one that is held
  t->refs.fetch_add(1, std::memory_order_relaxed);
  t->lock.lock();
  bool earliest = runtime::arm_callback(&t->entry, runtime::timer_after_ns(ns));
  t->lock.unlock();
  if (earliest) runtime::wake_for_timer();
}

bool stop(timer_block* t) noexcept {
  bool owned = false;
  t->lock.lock();
  bool was = stop_locked(t, &owned);
  t->lock.unlock();
  if (owned) release(t);  // never the last: the caller has a handle
  return was;
}

bool restart(timer_block* t, std::int64_t ns, std::int64_t period) noexcept {
  bool owned = false;
  t->lock.lock();
  bool was = stop_locked(t, &owned);
  t->period = period;
  // order: a reference made from one that is held
  if (!owned) t->refs.fetch_add(1, std::memory_order_relaxed);
  bool earliest = runtime::arm_callback(&t->entry, runtime::timer_after_ns(ns));
  t->lock.unlock();
  if (earliest) runtime::wake_for_timer();
  return was;
}

timer_block* make_channel_timer(std::int64_t ns, std::int64_t period, std::uintptr_t made_at) {
  timer_entry* gone[2];
  for (std::uint32_t n = runtime::drop_useless_callbacks(fire, useless, gone); n > 0; n--) {
    release(reinterpret_cast<timer_block*>(gone[n - 1]));
  }
  timer_block* t = make_block(0, made_at);
  try {
    t->ch = make_chan<time_point>(1);
  } catch (...) {
    free_block(t);
    throw;
  }
  t->ch.core()->made_at = made_at;
  t->period = period;
  start(t, ns);
  return t;
}

}  // namespace

namespace detail {

[[gnu::noinline]] timer_block* timer_make(std::int64_t ns, std::int64_t period) {
  return make_channel_timer(ns, period, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
}

[[gnu::noinline]] recv_chan<time_point> timer_after_chan(std::int64_t ns) {
  timer_block* t = make_channel_timer(ns, 0, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
  recv_chan<time_point> ch = t->ch;
  timer_unref(t);
  return ch;
}

[[gnu::noinline]] after_func_slot after_func_begin(const after_func_ops& ops) {
  timer_block* t = make_block(std::size_t{ops.size} + ops.align, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
  t->ops = &ops;
  return {t, t->function()};
}
void after_func_commit(timer_block* t, std::int64_t ns) noexcept { start(t, ns); }
void after_func_abandon(timer_block* t) noexcept { free_block(t); }

void timer_ref(timer_block* t) noexcept {
  if (t != nullptr) t->handles.fetch_add(1, std::memory_order_relaxed);  // order: made from one that is held
}
void timer_unref(timer_block* t) noexcept {
  // order: acq_rel, so that the last one sees all that the others did
  if (t == nullptr || t->handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (t->ch && t->period != 0) stop(t);  // nobody is left who could reset it
  release(t);
}

recv_chan<time_point> timer_channel(const timer_block* t) noexcept { return t == nullptr ? recv_chan<time_point>() : t->ch; }

bool timer_stop(timer_block* t) {
  if (t == nullptr) throw panic("time: Stop called on uninitialized Timer");
  return stop(t);
}
bool timer_reset(timer_block* t, std::int64_t ns) {
  if (t == nullptr) throw panic("time: Reset called on uninitialized Timer");
  return restart(t, ns, 0);
}
void ticker_stop(timer_block* t) noexcept {
  if (t != nullptr) stop(t);
}
void ticker_reset(timer_block* t, std::int64_t period) {
  if (t == nullptr) throw panic("time: Reset called on uninitialized Ticker");
  restart(t, period, period);
}
std::int64_t ticker_period(std::int64_t ns, const char* otherwise) {
  if (ns == 0) throw panic(otherwise);
  return ns;
}

}  // namespace detail

}  // namespace stray
