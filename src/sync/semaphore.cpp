// One word {permits:32, spare:31, waiting:1}. `waiting` changes under the bucket's lock only, and while it is set nothing else changes: there
// are no permits, and release hands them to the waiters in their order. So a permit that is free says that nobody waits.
#include <stray/semaphore.hpp>

#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/timer.h"
#include "sync/parking_table.h"

namespace stray {

namespace {
constexpr std::uint64_t waiting = 1, one = std::uint64_t{1} << 32;
std::ptrdiff_t permits(std::uint64_t word) noexcept { return static_cast<std::ptrdiff_t>(word >> 32); }
}  // namespace

bool semaphore::try_acquire() noexcept {
  std::uint64_t w = word_.load(std::memory_order_relaxed);  // order: the CAS acquires
  while (permits(w) != 0) {
    if (word_.compare_exchange_weak(w, w - one, std::memory_order_acquire)) return true;  // order: pairs with release
  }
  return false;
}

bool semaphore::acquire_blocking(std::int64_t timeout_ns) {
  if (try_acquire()) return true;
  if (timeout_ns == 0) return false;
  runtime::task* self = runtime::current_task();
  sync::parking_bucket& bucket = sync::bucket_of(&word_);
  bucket.lock.lock();
  std::uint64_t w = word_.load();
  while (!word_.compare_exchange_weak(w, permits(w) != 0 ? w - one : w | waiting)) {
  }
  if (permits(w) != 0) {
    bucket.lock.unlock();
    return true;
  }
  bool timed = timeout_ns > 0;
  sync::wait_node* n = &self->node;
  n->owner = self;
  n->primitive = reinterpret_cast<std::uintptr_t>(&word_);
  n->slot = nullptr;
  runtime::prepare_wait(self, timed ? runtime::wait_reason::timed_semaphore_acquire : runtime::wait_reason::semaphore_acquire,
                        n, 1);
  bucket.push_back(n);
  bucket.lock.unlock();
  if (timed) runtime::arm_timer(self, runtime::timer_after_ns(timeout_ns));
  runtime::park_on_clear_stack(self);
  if (!timed) return true;
  runtime::disarm_timer(self);
  if (self->fired != nullptr) return true;
  bucket.lock.lock();
  if (n->linked) {
    bucket.remove(n);
    if (bucket.first(n->primitive) == nullptr) word_.fetch_and(~waiting);
  }
  bucket.lock.unlock();
  return false;
}

void semaphore::release(std::ptrdiff_t n) {
  if (n < 0) throw panic("sync: negative Semaphore release");
  std::uint64_t w = word_.load(std::memory_order_relaxed);  // order: the CAS releases
  for (;;) {
    if (n > (max)() - permits(w)) throw panic("sync: Semaphore count overflow");
    if ((w & waiting) == 0) {
      std::uint64_t to = w + static_cast<std::uint64_t>(n) * one;
      // order: pairs with acquire
      if (word_.compare_exchange_weak(w, to, std::memory_order_release, std::memory_order_relaxed)) return;
      continue;
    }
    auto key = reinterpret_cast<std::uintptr_t>(&word_);
    sync::parking_bucket& bucket = sync::bucket_of(&word_);
    sync::claimed_list woken;
    bucket.lock.lock();
    w = word_.load();
    if ((w & waiting) == 0) {
      bucket.lock.unlock();
      continue;
    }
    while (n != 0 && woken.claim_first(bucket, key) != nullptr) n--;
    word_.store(static_cast<std::uint64_t>(n) * one | (bucket.first(key) != nullptr ? waiting : 0));  // the last touch
    bucket.lock.unlock();
    woken.make_runnable();
    return;
  }
}

}  // namespace stray
