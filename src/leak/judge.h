// The verdicts: who can never be woken. Runs in the snapshot; pure.
//
// One pass (docs/design/soundness.md): blocked stacks are nodes, not roots. Finding a word with the right to wake makes its waiters live, and their
// stacks go on the same work list: O(words + waits), in any order, no fix-point.
//
// 1. live: it can run some day; entered: a live pointer leads into its stack, whose contents then count. live implies entered.
// 2. COUNT: a core whose located handles equal its reference count is exact; only check-valid words (and any word of a thread that was
//    stopped while it ran) count for it. Otherwise every word counts as a full handle, and its waiters are at best likely.
// 3. Stages: strong roots, then weak words (frames of threads asleep in a system call), then orphan blocks. Unmarked after all: proven.
//    First marked in a later stage: likely, and the word or block is named.
// 4. A worker on its own native stack is not scanned: what it has in hand is told by state words (CLAIM), and no user's byte is there.
//    Scanning it hides a goroutine that has just parked: its record is still in a register (3 of 60 reports of the demo). So is the watcher.
// 5. A pointer to a task's record means nothing, wherever it lies: who is about to wake a task holds a handle, the lock, or the address of
//    the primitive in a register until the claim, and from the claim on the state word tells (tests/step). Rejected: taking such pointers in
//    running threads as live; a report then misses what the asking thread has just looked at (2 of 40 of the demo).
// 6. Locks: a waiter waits for all its owners; each that becomes live takes one off, and at 0 the waiter is live. A mutex has one owner; a
//    writer that waits for readers to leave has as many as there are (lock_owners.cpp).
// 7. Pending and firing callbacks of timers are roots: the block is marked (memory that is no block is a root as it is).
// 8. Doubts (trace/doubts.h): what a pointer that cannot be read could lead to is everything that is not live yet. Whoever becomes live when all of
//    it counts, is likely; whoever does not (no handle with the right to wake exists anywhere, a cycle of locks) is proven all the same.
// 9. Left frames: what lies below a stack pointer counts in a stage of its own where the frames above do not lead to the outermost one of the
//    stack (trace/frames.h), as words at other offsets do: only when somebody new is left over, and who wakes by it is likely. Whom either
//    stage makes live is looked at by the other, until nothing is found.
// 10. Anything not stopped or not read: nothing is proven. In an image whose threads were only looked at, `proven` means "not refuted"
//    (look_first.h): there every doubt is against the goroutine.
#pragma once

#include "leak/task_source.h"
#include "trace/client.h"

namespace stray::trace {
class marker;
struct image;
}  // namespace stray::trace

namespace stray::leak {

enum class grounds : std::uint8_t {
  no_holder,      // nobody alive holds a handle that could wake it
  nobody,         // nil channel, select without cases
  owner_leaked,   // the lock's owner is itself leaked
  owner_is_self,  // locked twice
  owner_ended,    // the owner has ended without unlocking
  in_cycle,       // a cycle of locks
  no_reference,   // nothing alive refers to the primitive
  weak_word,      // likely: one word in the frame of a sleeping thread
  orphan,         // likely: a block that nothing is seen to refer to
  uncounted,      // likely: a handle was not found
  not_stopped,    // likely: a thread could not be stopped, or memory could not be read
  unaligned,      // likely: a word at no multiple of 8 bytes, or in two halves
  out_of_sight,   // likely: a place that may hold pointers and cannot be read; `at` is its number among the doubts
  left_frames,    // likely: a word below a stack pointer whose frames do not lead to the beginning of their stack
  saved_context,  // likely: a word that setjmp or getcontext has saved, or below the stack pointer from where that one points
  outlier,        // suspected: by its age only (suspects.h); never in a verdict
  filling,        // suspected: its site fills up (suspects.h); never in a verdict
};

inline constexpr std::size_t grounds_count = static_cast<std::size_t>(grounds::filling) + 1;

enum class verdict_tier : std::uint8_t { likely = 1, cycle = 2, proven = 3 };  // as leak::tier

struct verdict {
  std::uint32_t record;
  verdict_tier tier;
  grounds reason;
  bool for_reading;  // the owners hold the lock for reading
  wait_id wait;
  std::uintptr_t at;  // likely: where the word or block lies
  base::range stack;  // the frames of a goroutine, to be asked for before they are read; no more than a hint
  static constexpr std::uint32_t owners_named = 4;
  // Of those that keep it from the lock; waiting for no lock: of several that could wake it, more than owners_named if not all are known.
  std::uint32_t owner_count;
  std::uint64_t owner_ids[owners_named];
  // blame.h, by task id; 0: nobody.
  std::uint64_t waits_for, root;
  bool ring;
  std::uint64_t heap_bytes;
};

// In memory shared by parent and child.
struct verdict_log {
  std::uint64_t candidates;
  std::uint64_t undecided;  // candidates of a tracer that could not see enough
  std::uint64_t count;
  std::uint64_t room;
  bool blind;          // the heap could not be walked
  bool main_is_stuck;  // the main thread is reported never: `main` is where it stands in the causes of others
  verdict main;
  bool finished;
  verdict list[1];  // room of them
};

struct path_request;
class proof_list;

struct judge_request {
  source_view view;
  trace::bump* memory = nullptr;  // reserved by the parent, used by the child
  verdict_log* log = nullptr;
  const base::range* extra_roots = nullptr;  // leak::add_root
  unsigned extra_count = 0;
  bool count_rule = true;             // off: for the ablation test of COUNT
  bool timer_roots = true;            // off: for the ablation test of timers
  path_request* path = nullptr;       // null: no path is asked for
  const proof_list* known = nullptr;  // who needs no proof any more
  bool with_blame = true;             // off: to measure what it costs
  // The child's:
  wait_graph graph;
  bool filled = false, failed = false;
};

trace::client judge_client(judge_request& request) noexcept;
// Marks the nodes that are in a cycle of locks, when all that is live is known. false: out of memory.
bool find_cycles(wait_graph& graph, trace::bump& memory) noexcept;
// request::decide of the snapshot.
void judge(void* request, trace::image& image) noexcept;

}  // namespace stray::leak
