// Freezes the process for some milliseconds, clones it, and lets a pure function decide in the clone.
//
// 1. One snapshot at a time, by one thread (the detector's). Never throws, never aborts the host; what cannot be done is an answer with
//    a reason. The calling thread's stack is not scanned: it must hold nothing of the user's.
// 2. While threads are stopped nothing here calls malloc or takes a lock, other than malloc's own arena locks.
// 3. The child shares descriptors (CLONE_FILES: epoll, flock and end-of-file behave as if it were not there), is not traced
//    (CLONE_UNTRACED), sends no signal at its end, dies with its parent's thread, leaves no core, is first in line for the OOM killer, and
//    has a time limit. There is memory for it below the control groups' limits (memory_room.h), or there is no snapshot.
// 4. Child code is pure: no malloc, lock, libc, exception, lazy binding; snapshot_objects.txt lists its objects for the test.
//
// The order (docs/design/roots-and-snapshot.md): flags of all mappings, list of threads, up to 3 times (stop, all arena locks free?) 1 ms apart, else lock
// for at most 50 ms and stop; copies of what the clone would not show; clone; unlock; release; wait for the child.
// Figures: pause 16 ms a GB of 4K pages (page tables), 0.3 with huge pages. Rejected: process_vm_readv 200 ms a GB; mprotect 17.
#pragma once

#include <cstdint>

#include "trace/doubts.h"
#include "trace/snapshot_request.h"

namespace stray::trace {

struct snapshot_outcome {
  bool ok = false;
  char why[200] = {};               // when not ok
  const note_log* notes = nullptr;  // until the next snapshot
  const doubt_log* doubts = nullptr;
  std::int64_t pause_ns = 0;  // from the last stop to the release
  std::int64_t stop_ns = 0;   // of that, until every thread had stopped
  std::int64_t child_ns = 0;  // from the clone to the child's end
  std::int64_t walk_ns = 0;   // in the child: maps, heap, roots
  std::int64_t decide_ns = 0;
  unsigned threads = 0;    // stopped
  unsigned looked = 0;     // only looked at: the image is without their registers, and nothing may be proven from it
  unsigned ran = 0;        // of those, how many have run meanwhile or may have
  unsigned unstopped = 0;  // > 0: nothing may be proven
  unsigned blind = 0;
  unsigned unknown = 0;  // facts that could not be found at the start: what is a root for want of them may hide leaks
  unsigned faults = 0;   // of the child: what it should have read is not known
  unsigned stops = 0;    // tries until malloc was quiet
  std::uint64_t blocks = 0;
  std::uint64_t unknown_bytes = 0;  // of private memory that is a root because nobody knows what it is
  std::uint64_t signals = 0;        // sent
};

// At start-up, on a thread that may allocate: finds the arenas, learns the layout of threads, takes a signal. False when no snapshot will
// ever be possible, and the reason is then every snapshot's answer; or when no descriptor was free: the next call tries again. Calling it
// again does nothing else.
bool init_snapshot() noexcept;
// In the child of a fork: whatever the parent was doing, nothing of it goes on here.
void forget_snapshot() noexcept;
int stop_signal() noexcept;  // 0 before init_snapshot

snapshot_outcome take_snapshot(const snapshot_request& request) noexcept;

}  // namespace stray::trace
