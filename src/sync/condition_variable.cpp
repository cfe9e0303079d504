// A wait queues its node before the caller's lock is released, so no notification in between is lost; it parks after.
//
// 1. A node is `announced` (index 0) from the constructor to block, then `blocked` (index 1). A notify that meets an announced node marks it
//    signaled; one that meets a blocked node claims its task; one whose claim fails (it timed out) goes on to the next.
// 2. The counter of queued nodes lies in the condition_variable and is changed under the bucket's lock by whoever unlinks, so that a
//    notified waiter never touches the condition_variable again: it may be destroyed after notify_all.
#include <stray/condition_variable.hpp>

#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"
#include "runtime/timer.h"
#include "sync/parking_table.h"

namespace stray {

namespace {

using runtime::task;
using runtime::wait_node;

constexpr std::uint32_t announced = 0, blocked = 1;

void notify(std::atomic<std::uint64_t>& waiters, bool all) noexcept {
  if (waiters.load(std::memory_order_seq_cst) == 0) return;
  auto key = reinterpret_cast<std::uintptr_t>(&waiters);
  sync::parking_bucket& bucket = sync::bucket_of(&waiters);
  sync::claimed_list woken;
  bucket.lock.lock();
  while (wait_node* n = bucket.first(key)) {
    bool hit = n->index == announced;
    if (hit) {
      n->signaled = true;
    } else if (runtime::try_claim(n->owner)) {
      hit = true;
      n->owner->fired = n;
      n->owner->fired_ok = true;
      woken.add(n->owner);
    }
    waiters.fetch_sub(1);
    bucket.remove(n);
    if (hit && !all) break;
  }
  bucket.lock.unlock();
  woken.make_runnable();
}

// The bucket is locked.
void unlink_node(sync::parking_bucket& bucket, wait_node* n, std::atomic<std::uint64_t>& waiters) noexcept {
  if (!n->linked) return;
  bucket.remove(n);
  waiters.fetch_sub(1);
}

}  // namespace

void condition_variable::notify_one() noexcept { notify(waiters_, false); }
void condition_variable::notify_all() noexcept { notify(waiters_, true); }

namespace detail {

condition_wait::condition_wait(std::atomic<std::uint64_t>& waiters) : waiters_(waiters) {
  runtime::ensure_started();
  task* self = runtime::current_task();
  wait_node* n = runtime::alloc_nodes(1);
  node_ = n;
  n->owner = self;
  n->primitive = reinterpret_cast<std::uintptr_t>(&waiters);
  n->slot = nullptr;
  n->index = announced;
  n->signaled = false;
  sync::parking_bucket& bucket = sync::bucket_of(&waiters);
  bucket.lock.lock();
  bucket.push_back(n);
  waiters.fetch_add(1);
  bucket.lock.unlock();
}

bool condition_wait::block(std::int64_t timeout_ns) {
  auto* n = static_cast<wait_node*>(node_);
  task* self = n->owner;
  bool timed = timeout_ns >= 0;
  sync::parking_bucket& bucket = sync::bucket_of(reinterpret_cast<const void*>(n->primitive));
  bucket.lock.lock();
  if (n->signaled) {
    n->signaled = false;
    bucket.lock.unlock();
    return true;
  }
  if (timeout_ns == 0) {  // over already: under a fake clock nobody would end the wait
    unlink_node(bucket, n, waiters_);
    bucket.lock.unlock();
    yield();
    return false;
  }
  n->index = blocked;
  runtime::prepare_wait(self, timed ? runtime::wait_reason::timed_cond_wait : runtime::wait_reason::cond_wait, n, 1);
  bucket.lock.unlock();
  if (timed) runtime::arm_timer(self, runtime::timer_after_ns(timeout_ns));
  runtime::park_on_clear_stack(self);
  if (!timed) return true;
  runtime::disarm_timer(self);
  if (self->fired != nullptr) return true;
  // Timed out: out of the queue before anything else blocks, or a notify would take the next wait of this task for this one.
  bucket.lock.lock();
  unlink_node(bucket, n, waiters_);
  bucket.lock.unlock();
  return false;
}

condition_wait::~condition_wait() {
  auto* n = static_cast<wait_node*>(node_);
  sync::parking_bucket& bucket = sync::bucket_of(reinterpret_cast<const void*>(n->primitive));
  bucket.lock.lock();
  bool pass_on = n->signaled;        // notified, but the wait ended by an exception of the caller's unlock
  unlink_node(bucket, n, waiters_);  // ended before a notify
  bucket.lock.unlock();
  runtime::free_nodes(n, 1);
  if (pass_on) notify(waiters_, false);
}

}  // namespace detail

}  // namespace stray
