// A lock word (owner.h) whose owner is the runner, so that the detector reads it as a mutex's. A runner that returned claims all waiters and
// then stores `done`; one that threw claims the first and makes it the owner.
#include <stray/once.hpp>

#include "runtime/current.h"
#include "runtime/park.h"
#include "sync/owner.h"
#include "sync/parking_table.h"

namespace stray {

namespace lock_word = sync::lock_word;

bool once::begin_blocking() {
  runtime::task* self = runtime::current_task();
  sync::parking_bucket& bucket = sync::bucket_of(&word_);
  for (;;) {
    std::uint64_t w = word_.load(std::memory_order_acquire);  // order: pairs with finish
    if (w == done) return false;
    // order: pairs with finish of one that threw
    if (w == 0 && word_.compare_exchange_strong(w, lock_word::of(self), std::memory_order_acquire)) return true;
    bucket.lock.lock();
    w = word_.load();
    while (lock_word::owner(w) != 0 && !word_.compare_exchange_weak(w, w | lock_word::waiters)) {
    }
    if (lock_word::owner(w) != 0) break;
    bucket.lock.unlock();
  }
  runtime::wait_node* n = &self->node;
  n->owner = self;
  n->primitive = reinterpret_cast<std::uintptr_t>(&word_);
  n->slot = nullptr;
  runtime::prepare_wait(self, runtime::wait_reason::once_do, n, 1);
  bucket.push_back(n);
  bucket.lock.unlock();
  runtime::park_on_clear_stack(self);
  return !self->fired_ok;
}

void once::finish(bool returned) noexcept {
  std::uint64_t w = lock_word::of(runtime::current_task());
  if (word_.compare_exchange_strong(w, returned ? done : 0, std::memory_order_release)) return;  // order: pairs with call
  auto key = reinterpret_cast<std::uintptr_t>(&word_);
  sync::parking_bucket& bucket = sync::bucket_of(&word_);
  sync::claimed_list woken;
  bucket.lock.lock();
  std::uint64_t next = done;
  if (returned) {
    woken.claim_all(bucket, key);
  } else {
    runtime::wait_node* n = woken.claim_first(bucket, key);
    next = n == nullptr ? 0 : lock_word::of(n->owner) | (bucket.first(key) != nullptr ? lock_word::waiters : 0);
    if (n != nullptr) n->owner->fired_ok = false;  // its turn
  }
  word_.store(next);  // the last touch
  bucket.lock.unlock();
  woken.make_runnable();
}

}  // namespace stray
