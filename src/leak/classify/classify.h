// The verdicts: which blocked tasks can never be woken. Runs in the snapshot; pure.
//
// One pass (docs/design/soundness.md): blocked stacks are nodes, not roots. A word with the right to wake makes its waiters live, and their
// stacks go on the same work list: O(words + waits), in any order, no fix-point.
//
// The stages, in their order (classify.cpp). A candidate that becomes live in the first two is no leak. One that becomes live in a later
// stage is `likely`, and the word or block that did it is named. One that no stage reaches is proven.
//
//   locate      handles are counted (2)
//   seed        tasks that are not blocked, armed callbacks (5) and the program's roots
//   ambiguous   words in frames of threads that sleep in a system call
//   orphans     blocks that nothing is seen to refer to
//   everywhere  words at any offset, below stack pointers (7), in saved contexts; only when a new candidate is left over
//   explain     cycles of locks, causes, the path to one goroutine; changes no verdict
//   doubts      what could be woken through a place that cannot be read (6)
//   write       one verdict for each candidate that is left
//
// 1. live: the task can run some day. entered: a live pointer leads into its stack, whose contents then count. live implies entered.
// 2. COUNT: a core is exact if its located handles equal its reference count. Only check-valid words count for an exact core, and any word of a
//    thread that was stopped while it ran. For another core every word counts as a full handle, and its waiters are at best likely.
// 3. A pointer to a task's record means nothing, wherever it lies. A waker holds a handle, the lock, or the address of the primitive in a
//    register until the claim; from the claim on the state word tells (tests/step). Rejected: taking such pointers in running threads as live;
//    a report then misses what the asking thread has just looked at (2 of 40 of the demo).
// 4. Locks: a waiter waits for all its owners. Each owner that becomes live takes one off, and at 0 the waiter is live. A mutex has one
//    owner; a writer that waits for readers to leave has as many as there are (lock_owners.cpp).
// 5. Pending and firing callbacks of timers are roots: the block is marked (memory that is no block is a root as it is).
// 6. Doubts (trace/doubts.h): a pointer that cannot be read could lead to anything that is not live yet. A candidate that becomes live when
//    all of that counts is likely. One that does not (no handle with the right to wake exists, a cycle of locks) is proven all the same.
// 7. Left frames: what lies below a stack pointer counts where the frames above do not lead to the outermost one of the stack
//    (trace/frames.h). This stage and the search at other offsets look at what the other has made live, until nothing is found.
// 8. Nothing is proven if a thread was not stopped or memory was not read. In an image whose threads were only looked at, `proven` means "not
//    refuted" (look_first.h); there every doubt is against the goroutine.
#pragma once

#include "leak/model/ablation.h"
#include "leak/model/frozen_source.h"
#include "leak/model/verdict.h"
#include "trace/client.h"

namespace stray::trace {
struct image;
}

namespace stray::leak {

struct path_request;
class proof_list;
class classification;

// What the parent hands to the child.
struct classify_input {
  frozen_source sources[most_sources];
  std::uint8_t source_count = 0;
  base::range reservation;  // words that point into it are the sources' business
  ablation without;
  trace::bump* memory = nullptr;  // reserved by the parent, used by the child
  verdict_log* log = nullptr;
  const base::range* extra_roots = nullptr;  // leak::add_root
  unsigned extra_count = 0;
  path_request* path = nullptr;       // null: no path is asked for
  const proof_list* known = nullptr;  // whose proofs stand; null: nobody's

  classification* run = nullptr;  // the child's own, from its prepare on
};

// For the snapshot's request: its client, and what decides (arg is the input).
trace::client client_of(classify_input& input) noexcept;
void classify(void* input, trace::image& image) noexcept;

}  // namespace stray::leak
