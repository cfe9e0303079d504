// A permit is a worker's right to run goroutines; there are maxprocs of them, and more workers than that. (Go's processors, without the
// queues: those stay with the workers, for thieves.)
//
//   none -> held    give_permit: to a spare worker, or to one that the watcher makes
//   held -> none    its worker (bound to a goroutine), the watcher (stuck in user code), maxprocs(n)
//   held -> lent    its worker, in a blocking() section: anybody may take it
//   lent -> held    its worker, back from the section
//   lent -> none    who has work for it (retake_lent)
//
// 1. Every change is one RMW on worker::permit; who takes a permit away gives it on. Their number plus free_permits is maxprocs.
// 2. A worker without a permit picks nothing: the goroutine it runs goes on, what that wakes goes to the global queue, and at its next
//    switch the worker gives its queue away and joins the spares.
// 3. A goroutine locked to its thread runs there without a permit, beside the maxprocs others; its worker runs nothing else.
// Rejected: handing the caller of blocking() to a pool of threads (two futex wakes a call, 11 us against 0.1, and a second identity for
// locks and goroutine_id); permits for locked goroutines, as Go has it (a permit would travel with each of their wakes).
#pragma once

#include "runtime/worker.h"

namespace stray::runtime {

void give_permit() noexcept;           // of a worker that has just lost it
bool take_permit(worker* w) noexcept;  // held or lent -> none; false: it had none
bool retake_lent() noexcept;           // gives on one lent permit, if there is one
void set_permits(int n);               // maxprocs
// Waits as a spare until it has a permit; rests at exit, with or without one.
void wait_for_permit(worker* w) noexcept;
// Waits until the goroutine that is locked to this worker's thread is runnable.
task* wait_for_bound(worker* w) noexcept;
// To the worker of a locked goroutine, by whoever has picked it.
void hand_to_bound(task* t) noexcept;

}  // namespace stray::runtime
