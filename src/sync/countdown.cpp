#include "sync/countdown.h"

#include <limits>

#include "runtime/current.h"
#include "runtime/park.h"
#include "sync/parking_table.h"

namespace stray::sync::countdown {

outcome add(std::atomic<std::uint64_t>& word, std::int64_t n) noexcept {
  constexpr std::int64_t highest = std::numeric_limits<std::int32_t>::max();
  std::uint64_t w = word.load(std::memory_order_relaxed);  // order: the CAS is acq_rel
  for (;;) {
    if (n > highest - counter(w)) return outcome::overflow;
    if (n < -counter(w)) return outcome::negative;
    std::int64_t next = counter(w) + n;
    if (next != 0 || (w & waiting) == 0) {
      std::uint64_t to = static_cast<std::uint64_t>(next) << 32 | (w & waiting);
      // order: what was done is seen by who waited
      if (word.compare_exchange_weak(w, to, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return next == 0 ? outcome::reached_zero : outcome::done;
      }
      continue;
    }
    parking_bucket& bucket = bucket_of(&word);
    auto key = reinterpret_cast<std::uintptr_t>(&word);
    claimed_list woken;
    bucket.lock.lock();
    bool last = word.compare_exchange_strong(w, 0);
    if (last) woken.claim_all(bucket, key);
    bucket.lock.unlock();
    woken.make_runnable();
    if (last) return outcome::reached_zero;
  }
}

void wait(std::atomic<std::uint64_t>& word, runtime::wait_reason reason) {
  if (counter(word.load(std::memory_order_acquire)) == 0) return;  // order: pairs with add
  runtime::task* self = runtime::current_task();
  parking_bucket& bucket = bucket_of(&word);
  bucket.lock.lock();
  std::uint64_t w = word.load();
  while (counter(w) != 0 && !word.compare_exchange_weak(w, w | waiting)) {
  }
  if (counter(w) == 0) {
    bucket.lock.unlock();
    return;
  }
  wait_node* n = &self->node;
  n->owner = self;
  n->primitive = reinterpret_cast<std::uintptr_t>(&word);
  n->slot = nullptr;
  runtime::prepare_wait(self, reason, n, 1);
  bucket.push_back(n);
  bucket.lock.unlock();
  runtime::park_on_clear_stack(self);
}

}  // namespace stray::sync::countdown
