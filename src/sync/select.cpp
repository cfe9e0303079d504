// select: look for ready cases and try one of them, as a single operation would. If that fails, lock every channel in address order and take a
// ready case at random; otherwise queue on all of them and park.
//
// 1. What the look without locks finds is what was so a moment ago: it only says which channel to lock. Default, time-out and waiting need
//    all channels locked while the choice is made, so that a ready case is never missed. Both choices are fair among those seen ready.
// 2. While queued, ONE waker claims the task; the nodes of the other cases stay linked until the task has relocked their channels.
// 3. A channel that occurs in several cases is locked once, and its nodes are queued in a random order: its partner takes the first.
// Source of the algorithm: Go's select.
#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include <stray/go.hpp>
#include <stray/panic.hpp>
#include <stray/select.hpp>
#include "base/arch.h"
#include "base/stale_words.h"
#include "base/sync_shim.h"
#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"
#include "runtime/timer.h"
#include "sync/chan_core.h"

namespace stray::detail {

using runtime::task;
using runtime::wait_node;
using runtime::wait_reason;
using sync::progress;

namespace {

// Order of locking, on the stack for the usual sizes.
class lock_order {
 public:
  lock_order(case_ref* cases, std::size_t n) {
    if (n > small) large_ = std::make_unique<chan_core*[]>(n);
    cores_ = n > small ? large_.get() : few_;
    for (std::size_t i = 0; i < n; i++) {
      if (cases[i].core != nullptr) cores_[size_++] = cases[i].core;
    }
    // Mostly they are in order: of a loop's select, or made one after the other.
    if (!std::is_sorted(cores_, cores_ + size_)) std::sort(cores_, cores_ + size_);
    auto distinct = static_cast<std::size_t>(std::unique(cores_, cores_ + size_) - cores_);
    repeats_ = distinct < size_;
    size_ = distinct;
  }
  bool repeats() const noexcept { return repeats_; }  // a channel occurs in several cases
  void lock() noexcept {
    for (std::size_t i = 0; i < size_; i++) cores_[i]->lock.lock();
  }
  void unlock() noexcept {
    for (std::size_t i = size_; i > 0; i--) cores_[i - 1]->lock.unlock();
  }

 private:
  static constexpr std::size_t small = 16;
  chan_core* few_[small];
  std::unique_ptr<chan_core*[]> large_;
  chan_core** cores_;
  std::size_t size_ = 0;
  bool repeats_ = false;
};

// The nodes of a wait with several operations, given back at its end; also when that is an unwinding (they are unlinked then, withdraw.h).
struct kept_nodes {
  kept_nodes(wait_node* n, std::uint32_t room) noexcept : nodes(n), count(room) {}
  ~kept_nodes() {
    if (count > 1) runtime::free_nodes(nodes, count);
  }
  kept_nodes(const kept_nodes&) = delete;
  kept_nodes& operator=(const kept_nodes&) = delete;
  wait_node* nodes;
  std::uint32_t count;
};

bool looks_ready(const case_ref& c) noexcept {
  if (c.core == nullptr) return false;
  if (c.dir == direction::send) return c.core->closed || c.core->recvq.head != nullptr || sync::has_room(c.core);
  return c.core->closed || c.core->sendq.head != nullptr || c.core->count > 0;
}

// Below n, which is less than 2^32.
std::size_t random_below(std::size_t n) noexcept {
  thread_local std::uint64_t x = 0;
  if (x == 0) x = base::cycle_counter() | 1;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return (x * 0x2545'f491'4f6c'dd1dull >> 32) * n >> 32;
}

struct attempt {
  std::size_t index = no_case;
  progress result = progress::blocked;
  task* wake = nullptr;
  unsigned char* left = nullptr;
};

// One of those that look ready, each as likely; no_case: none does, or they change while we look.
std::size_t pick_ready(const case_ref* cases, std::size_t n) noexcept {
  std::size_t ready = 0, last = no_case;
  for (std::size_t i = 0; i < n; i++) {
    if (looks_ready(cases[i])) ready++, last = i;
  }
  if (ready <= 1) return last;
  std::size_t before = random_below(ready);
  for (std::size_t i = 0; i < n; i++) {
    if (looks_ready(cases[i]) && before-- == 0) return i;
  }
  return no_case;
}

// A dynamic case whose value was sent before. If it is chosen, the caller panics.
bool is_empty(const case_ref& c) noexcept { return c.dir == direction::send && c.value == nullptr && c.core->ops->size != 0; }

// The case's channel is locked.
void try_one(case_ref& c, attempt& a) noexcept {
  a.result = c.dir == direction::send ? sync::send_locked(c.core, c.value, &a.wake)
                                      : sync::recv_locked(c.core, c.value, &a.wake, &a.left);
}

// All channels locked. Queue entries that turn out stale are dropped by the attempt, and the choice is made anew.
attempt try_cases(case_ref* cases, std::size_t n) noexcept {
  for (;;) {
    attempt a;
    a.index = pick_ready(cases, n);
    if (a.index == no_case || is_empty(cases[a.index])) return a;
    try_one(cases[a.index], a);
    if (a.result != progress::blocked) return a;
  }
}

// Rule 1.
attempt try_unlocked(case_ref* cases, std::size_t n) noexcept {
  attempt a;
  std::size_t at = pick_ready(cases, n);
  if (at == no_case || is_empty(cases[at])) return a;
  cases[at].core->lock.lock();
  try_one(cases[at], a);
  cases[at].core->lock.unlock();
  if (a.result != progress::blocked) a.index = at;
  return a;
}

select_result conclude(const case_ref& c, const attempt& a) {
  if (a.wake != nullptr) runtime::make_runnable(a.wake);
  if (a.left != nullptr) sync::vacate(c.core, a.left);
  if (a.result == progress::blocked) throw panic("select: send case was already sent");
  if (c.dir == direction::send && a.result == progress::closed) sync::panic_send_on_closed();
  return {a.index, a.result == progress::done};
}

}  // namespace

void select_nothing() { runtime::park_forever(wait_reason::select_no_cases); }

// By the locks of all cases; blocks unless it has a default or no time.
[[gnu::noinline, gnu::used]] select_result select_locked(case_ref* cases, std::size_t n, bool has_default,
                                                         std::int64_t timeout_ns);
namespace {
[[gnu::naked]] select_result wait_for_case(case_ref*, std::size_t, bool, std::int64_t) {
  STRAY_CLEAR_BELOW_AND_GO_TO(47, "_ZN5stray6detail13select_lockedEPNS0_8case_refEmbl");
}
}  // namespace

namespace {
// What can be done at once; no_case: nothing.
[[gnu::noinline]] select_result select_now(case_ref* cases, std::size_t n) {
  const attempt a = try_unlocked(cases, n);
  return a.index != no_case ? conclude(cases[a.index], a) : select_result{no_case, false};
}
}  // namespace

// Its own frame is gone when the wait begins.
select_result select_wait(case_ref* cases, std::size_t n, bool has_default, std::int64_t timeout_ns) {
  if (n == 0 && !has_default && timeout_ns < 0) select_nothing();
  runtime::ensure_started();
  const select_result now = select_now(cases, n);
  if (now.index != no_case) return now;
  if (has_default || timeout_ns == 0) return select_locked(cases, n, has_default, timeout_ns);
  return wait_for_case(cases, n, false, timeout_ns);
}

select_result select_locked(case_ref* cases, std::size_t n, bool has_default, std::int64_t timeout_ns) {
  const bool timed = timeout_ns >= 0;
  std::int64_t deadline = timed ? runtime::timer_after_ns(timeout_ns) : 0;
  lock_order order(cases, n);
  order.lock();
  attempt a = try_cases(cases, n);
  if (a.index != no_case || has_default || timeout_ns == 0) {
    order.unlock();
    if (a.index != no_case) return conclude(cases[a.index], a);
    if (!has_default) yield();  // no time to wait: under a fake clock nobody would end the wait
    return {no_case, false};
  }

  task* self = runtime::current_task();
  wait_node* nodes = nullptr;
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < n; i++) {
    if (cases[i].core != nullptr && !is_empty(cases[i])) count++;
  }
  if (count > 1) {
    try {
      nodes = runtime::alloc_nodes(count);
    } catch (...) {
      order.unlock();
      throw;
    }
  } else {
    nodes = &self->node;
  }
  kept_nodes kept(nodes, count);
  count = 0;
  for (std::size_t i = 0; i < n; i++) {
    case_ref& c = cases[i];
    if (c.core == nullptr || is_empty(c)) continue;
    wait_node* node = &nodes[count++];
    node->owner = self;
    node->slot = c.value;
    node->primitive = reinterpret_cast<std::uintptr_t>(c.core);
    node->index = static_cast<std::uint32_t>(i);
    node->sends = c.dir == direction::send;
  }
  if (order.repeats()) {
    for (std::uint32_t i = count; i > 1; i--) std::swap(nodes[i - 1], nodes[random_below(i)]);
  }
  runtime::prepare_wait(self, timed ? wait_reason::timed_wait : wait_reason::select, nodes, count);
  for (std::uint32_t i = 0; i < count; i++) {
    auto* core = reinterpret_cast<chan_core*>(nodes[i].primitive);
    (nodes[i].sends ? core->sendq : core->recvq).push(&nodes[i]);
  }
  order.unlock();
  if (timed) runtime::arm_timer(self, deadline);
  runtime::park(self);
  if (timed) runtime::disarm_timer(self);

  wait_node* fired = self->fired;
  bool ok = self->fired_ok;
  std::size_t chosen = fired != nullptr ? fired->index : no_case;
  order.lock();
  for (std::uint32_t i = 0; i < count; i++) {
    if (!nodes[i].linked) continue;
    auto* core = reinterpret_cast<chan_core*>(nodes[i].primitive);
    (nodes[i].sends ? core->sendq : core->recvq).remove(&nodes[i]);
  }
  order.unlock();
  if (chosen != no_case && cases[chosen].dir == direction::send && !ok) sync::panic_send_on_closed();
  return {chosen, ok};
}

}  // namespace stray::detail

namespace stray {

std::size_t detail::select_dynamic(std::span<select_case> cases) {
  std::vector<detail::case_ref> refs;
  std::vector<std::size_t> place;
  refs.reserve(cases.size());
  std::size_t default_index = detail::no_case, timeout_index = detail::no_case;
  for (std::size_t i = 0; i < cases.size(); i++) {
    detail::any_case& c = *cases[i].case_;
    if (c.role == detail::case_role::operation) {
      refs.push_back(c.ref());
      place.push_back(i);
    } else if (c.role == detail::case_role::fallback) {
      default_index = i;
    } else if (timeout_index == detail::no_case || c.ns < cases[timeout_index].case_->ns) {
      timeout_index = i;
    }
  }
  detail::select_result r =
      detail::select_wait(refs.data(), refs.size(), default_index != detail::no_case,
                          timeout_index == detail::no_case ? detail::no_timeout : cases[timeout_index].case_->ns);
  std::size_t chosen = r.index != detail::no_case         ? place[r.index]
                       : default_index != detail::no_case ? default_index
                                                          : timeout_index;
  cases[chosen].case_->complete(r.ok);
  return chosen;
}

}  // namespace stray
