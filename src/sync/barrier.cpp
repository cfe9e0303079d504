// One word (barrier_word.h). An arrival takes off `pending` (and `expected`) in one CAS. Who takes the last one
// off is alone until it begins the next phase: it runs the completion function, claims all waiters, then stores the new word, under the
// bucket's lock. Every waiter in the queue is of the phase that ends, so nobody looks at the word again after its wait.
#include <stray/barrier.hpp>

#include "runtime/current.h"
#include "runtime/park.h"
#include "sync/barrier_word.h"
#include "sync/parking_table.h"

namespace stray::detail {

using namespace sync::barrier_word;

barrier_core::arrival barrier_core::arrive(std::ptrdiff_t n, std::ptrdiff_t drop) {
  if (n < 1) throw panic("sync: Barrier arrival of less than one");
  std::uint64_t w = word_.load(std::memory_order_relaxed);  // order: the CAS is acq_rel
  for (;;) {
    if (static_cast<std::uint64_t>(n) > pending(w)) throw panic("sync: more Barrier arrivals than expected");
    std::uint64_t to = w - (static_cast<std::uint64_t>(n) << pending_shift) - static_cast<std::uint64_t>(drop);
    // order: the last one sees what all did before they arrived
    if (word_.compare_exchange_weak(w, to, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return {phase(w), pending(to) == 0};
    }
  }
}

void barrier_core::begin_next_phase() noexcept {
  auto key = reinterpret_cast<std::uintptr_t>(&word_);
  sync::parking_bucket& bucket = sync::bucket_of(&word_);
  sync::claimed_list woken;
  bucket.lock.lock();
  woken.claim_all(bucket, key);
  std::uint64_t w = word_.load(std::memory_order_relaxed);                       // order: nobody changes it now
  std::uint64_t next = static_cast<std::uint64_t>(phase(w) + 1) << phase_shift;  // the overflow falls off
  word_.store(next | expected(w) << pending_shift | expected(w));
  bucket.lock.unlock();
  woken.make_runnable();
}

void barrier_core::wait_blocking(std::uint8_t of_phase) const {
  if (phase(word_.load(std::memory_order_acquire)) != of_phase) return;  // order: pairs with begin_next_phase
  runtime::task* self = runtime::current_task();
  sync::parking_bucket& bucket = sync::bucket_of(&word_);
  bucket.lock.lock();
  std::uint64_t w = word_.load();
  if (phase(w) != of_phase) {
    bucket.lock.unlock();
    return;
  }
  sync::wait_node* n = &self->node;
  n->owner = self;
  n->primitive = reinterpret_cast<std::uintptr_t>(&word_);
  n->slot = nullptr;
  runtime::prepare_wait(self, runtime::wait_reason::barrier_wait, n, 1);
  bucket.push_back(n);
  bucket.lock.unlock();
  runtime::park_on_clear_stack(self);
}

}  // namespace stray::detail
