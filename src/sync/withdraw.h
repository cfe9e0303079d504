// A wait that ends without its operation: the task is claimed for nobody and taken out of every queue.
//
// 1. Claim and unlinking are one step under the locks of all that it waits on, so no waker ever meets a waiter that is claimed by nobody: those
//    of a mutex need not know that a claim can fail.
// 2. What the primitives keep besides the queue stays true: `waiting` and `waiters` flags may be set without a waiter (the next release or
//    unlock finds the queue empty and clears them); an arrival at a barrier stands; condition_variable's count goes down with its node.
// 3. A writer that has announced itself holds readers off: it passes that on to the next writer, or lets them in (shared_mutex.cpp).
#pragma once

#include <cstdint>

#include "runtime/task.h"

namespace stray::sync {

// t is in wait w, without a time-out, and stays until end_inspection (begin_inspection). true: claimed by the caller, who makes it runnable; false:
// somebody was faster. Allocates for a select; throws std::bad_alloc, and then nothing has changed.
bool withdraw(runtime::task* t, wait_id w);

// Its part for t that waits to write: in shared_mutex.cpp. The bucket is locked; `woken` is made runnable after that.
class claimed_list;
struct parking_bucket;
bool withdraw_writer(runtime::task* t, wait_id w, parking_bucket& bucket, claimed_list& woken);

}  // namespace stray::sync
