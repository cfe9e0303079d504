// Where the waiters of embedded primitives (mutex, wait_group, semaphore, ...) queue: a hidden hash table keyed by address, so that
// the primitives themselves hold scalars only.
//
// 1. A bucket's lock guards the queues of all its addresses. The first node of an address carries the queue's tail and the link to the
//    next address (`lead_next`), so every operation but a hash collision is O(1), with any number of waiters.
// 2. Nodes are linked by their own task, and unlinked by a waker that has claimed it or by the task itself.
#pragma once

#include <cstdint>

#include "base/spin_lock.h"
#include "runtime/task.h"

namespace stray::sync {

using runtime::wait_node;

struct alignas(64) parking_bucket {
  base::spin_lock lock;
  wait_node* leads = nullptr;

  wait_node* first(std::uintptr_t primitive) const noexcept;
  void push_back(wait_node* n) noexcept;  // n->primitive is set
  void push_front(wait_node* n) noexcept;
  void remove(wait_node* n) noexcept;  // n->linked
};

// In the child of a fork, which has one thread: nobody waits.
void forget_waiters() noexcept;

parking_bucket& bucket_of(const void* primitive) noexcept;

// Tasks that were claimed, in the order in which they will run; linked by task::next.
class claimed_list {
 public:
  void add(runtime::task* t) noexcept {
    t->next = nullptr;
    *last_ = t;
    last_ = &t->next;
  }
  // Claims all that wait for this address, before anything is unlinked (CLAIM). The bucket is locked.
  void claim_all(parking_bucket& bucket, std::uintptr_t primitive) noexcept;
  // Claims the first that can be, and unlinks it; nullptr: nobody waits. The bucket is locked.
  wait_node* claim_first(parking_bucket& bucket, std::uintptr_t primitive) noexcept;
  // Without the bucket's lock; the last touch of anything of theirs.
  void make_runnable() noexcept;

 private:
  runtime::task* first_ = nullptr;
  runtime::task** last_ = &first_;
};

}  // namespace stray::sync
