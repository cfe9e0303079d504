// Lock and unlock are one CAS each without contention, in the header. A waiter queues in the parking table; unlock wakes the first one, which competes
// with newcomers; after 1 ms of waiting it asks for a hand-over and the next unlock makes it the owner.
//
//   unlocker                                   woken waiter
//   claim it (state word)                      -
//   unlink, then owner := none or the waiter   -
//   make_runnable                              retry, or return as the owner
// Claim first: "owner := waiter" before the claim looks like a double lock for 3 of 30 instructions.
#include <stray/mutex.hpp>

#include "base/arch.h"
#include "base/check.h"
#include "base/clock.h"
#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "sync/owner.h"
#include "sync/parking_table.h"

namespace stray {

namespace {

using runtime::task;
using runtime::wait_node;

// false: somebody owns it.
bool barge(std::atomic<std::uint64_t>& word, std::uint64_t mine) noexcept {
  std::uint64_t w = word.load(std::memory_order_relaxed);  // order: the CAS acquires
  while (sync::lock_word::owner(w) == 0) {
    if (word.compare_exchange_weak(w, w | mine, std::memory_order_acquire)) return true;  // order: pairs with unlock
  }
  return false;
}

}  // namespace

void mutex::lock_blocking() {
  task* self = runtime::current_task();
  const std::uint64_t mine = sync::lock_word::of(self);
  std::int64_t began = 0;
  bool woken = false;
  for (;;) {
    if (barge(word_, mine)) return;
    if (!woken && runtime::sched().procs.load(std::memory_order_relaxed) > 1) {  // order: a hint
      for (int i = 0; i < 30; i++) base::cpu_relax();  // looking each time takes the line from who works: 39 ns instead of 13
      if (barge(word_, mine)) return;
    }
    sync::parking_bucket& bucket = sync::bucket_of(&word_);
    bucket.lock.lock();
    std::uint64_t w = word_.load();
    bool starving = woken && base::now_ns() - began > sync::lock_word::starving_ns;
    std::uint64_t flags = sync::lock_word::waiters | (starving ? sync::lock_word::handoff : 0);
    while (sync::lock_word::owner(w) != 0 && !word_.compare_exchange_weak(w, w | flags)) {
    }
    if (sync::lock_word::owner(w) == 0) {
      bucket.lock.unlock();
      continue;
    }
    wait_node* n = &self->node;
    n->owner = self;
    n->primitive = reinterpret_cast<std::uintptr_t>(&word_);
    n->slot = nullptr;
    runtime::prepare_wait(self, runtime::wait_reason::mutex_lock, n, 1);
    woken ? bucket.push_front(n) : bucket.push_back(n);
    bucket.lock.unlock();
    if (began == 0) began = base::now_ns();
    runtime::park_on_clear_stack(self);
    if (self->fired_ok) return;  // handed over
    woken = true;
  }
}

bool mutex::try_lock() noexcept {
  task* self = runtime::current_task();
  return barge(word_, sync::lock_word::of(self));
}

void mutex::unlock_slow() noexcept {
  const std::uint64_t mine = sync::lock_word::of(runtime::current_task());
  std::uint64_t w = word_.load();
  if (sync::lock_word::owner(w) == 0) base::fatal("sync: unlock of unlocked mutex");
  if ((w & sync::lock_word::owner_mask) != mine) base::fatal("sync: unlock by a goroutine that does not hold the mutex");
  sync::parking_bucket& bucket = sync::bucket_of(&word_);
  bucket.lock.lock();
  w = word_.load();
  auto key = reinterpret_cast<std::uintptr_t>(&word_);
  wait_node* n = bucket.first(key);
  if (n == nullptr || !runtime::try_claim(n->owner)) {
    word_.store(0);
    bucket.lock.unlock();
    return;
  }
  task* next = n->owner;
  bucket.remove(n);
  std::uint64_t left = bucket.first(key) != nullptr ? sync::lock_word::waiters : 0;
  bool hand_over = (w & sync::lock_word::handoff) != 0;
  next->fired = n;
  next->fired_ok = hand_over;
  word_.store(hand_over ? sync::lock_word::of(next) | left : left);
  bucket.lock.unlock();
  runtime::make_runnable(next);
}

}  // namespace stray
