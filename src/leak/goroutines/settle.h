// Before anybody is looked at: whoever is about to end or to park gets there.
//
// Who wakes the one that asks (wait_group::done, the last value of a channel) is itself still running then, and under load the kernel gives
// the processor to who was woken: for milliseconds its frames and registers hold what it is about to let go, and hide the leak. In one run
// of some 3,000 of the cases, always with 20 ms of computing put behind each wake. So each worker that is in the middle of a goroutine gets
// the time to come to its next scheduling point: one that computes is given up after 5 ms on a processor, one that waits for a processor
// after 200 ms. Nothing is proven by it, and nothing is refuted: a report is of a moment after its request.
#pragma once

namespace stray::leak {

void let_goroutines_settle() noexcept;  // the detector's thread; nobody is stopped

}  // namespace stray::leak
