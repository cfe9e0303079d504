// The counter and "somebody waits" share one word: the decrement that reaches 0 clears both in one CAS. From then on add touches only the
// parking table, by address: a waiter that saw 0 may destroy the wait_group at once.
#include <stray/wait_group.hpp>

#include <stray/panic.hpp>
#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "sync/parking_table.h"

namespace stray {

namespace {

constexpr std::uint64_t waiting_bit = 1;
constexpr std::int64_t highest = 0x7fff'ffff;
std::int64_t counter(std::uint64_t word) noexcept { return static_cast<std::int32_t>(word >> 32); }

void wake_all(std::uintptr_t primitive) noexcept {
  sync::parking_bucket& bucket = sync::bucket_of(reinterpret_cast<const void*>(primitive));
  runtime::task* woken = nullptr;
  bucket.lock.lock();
  while (runtime::wait_node* n = bucket.first(primitive)) {
    bool mine = runtime::try_claim(n->owner);
    bucket.remove(n);
    if (!mine) continue;
    n->owner->fired = n;
    n->owner->fired_ok = true;
    n->owner->next = woken;
    woken = n->owner;
  }
  bucket.lock.unlock();
  while (woken != nullptr) {
    runtime::task* t = woken;
    woken = t->next;
    t->next = nullptr;
    runtime::make_runnable(t);
  }
}

}  // namespace

void wait_group::add(std::int64_t n) {
  std::uint64_t word = word_.load(std::memory_order_relaxed);  // order: the CAS is acq_rel
  for (;;) {
    if (n > highest - counter(word)) throw panic("sync: WaitGroup counter overflow");
    std::int64_t next = counter(word) + n;
    if (next < 0) throw panic("sync: negative WaitGroup counter");
    bool last = next == 0 && (word & waiting_bit) != 0;
    std::uint64_t to = static_cast<std::uint64_t>(next) << 32 | (next == 0 ? 0 : word & waiting_bit);
    auto primitive = reinterpret_cast<std::uintptr_t>(&word_);
    if (word_.compare_exchange_weak(word, to, std::memory_order_acq_rel)) {  // order: what was done is seen by who waited
      if (last) wake_all(primitive);
      return;
    }
  }
}

void wait_group::wait_blocking() {
  for (;;) {
    if (counter(word_.load(std::memory_order_acquire)) == 0) return;  // order: pairs with add
    runtime::task* self = runtime::current_task();
    sync::parking_bucket& bucket = sync::bucket_of(&word_);
    bucket.lock.lock();
    std::uint64_t word = word_.load();
    while (counter(word) != 0 && !word_.compare_exchange_weak(word, word | waiting_bit)) {
    }
    if (counter(word) == 0) {
      bucket.lock.unlock();
      return;
    }
    runtime::wait_node* n = &self->node;
    n->owner = self;
    n->primitive = reinterpret_cast<std::uintptr_t>(&word_);
    n->slot = nullptr;
    runtime::prepare_wait(self, runtime::wait_reason::wait_group_wait, n, 1);
    bucket.push_back(n);
    bucket.lock.unlock();
    runtime::park(self);
    // Round again: a late wake of an earlier use of this address may have hit this wait.
  }
}

}  // namespace stray
