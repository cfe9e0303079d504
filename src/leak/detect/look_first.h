// Two snapshots, of which most detections need the first one only: it disturbs nobody.
//
// 1. The first stops our own threads and looks at all others. In its image the registers of those are missing, frames too where a thread
//    ran, and words may be on their way: whatever is found live is live; what is found dead may live. So it proves that nobody leaked, never
//    that somebody did, and `proven` in its log means no more than "not refuted".
// 2. A goroutine proven before, in the same wait, is so for ever: it is reported again from the first snapshot, and also if a later one finds
//    a word that would make it live (a stale one: proof_list::others), or decides nothing. Only leak::reclaim makes proofs void, all of them:
//    destructors that run may hand out what only the leaked led to.
// 3. Only a goroutine that is neither refuted nor known justifies the second snapshot, which stops everybody and decides alone.
// 4. Threads of others that wait for this very detection (askers) are woken by nobody else: they are stopped as ours, and see nothing of it.
//    A worker that sleeps in a system call of the user's is looked at, as others' threads are.
// 5. A look during which a thread ran is taken again, twice at most; then it is used as it is, but for its orphan blocks: they may have
//    been in the frames of such a thread.
// The states of take_view, each a snapshot:
//
//   state  stops                   leaves when                                              to
//   look   our own threads         a thread that was looked at ran, at most twice           look, 2 ms later
//                                  the snapshot failed (a second one would, too)            end: undecided
//                                  all threads were ours, so that the image is exact        end: decided
//                                  each goroutine it does not refute is known (2)           end: decided, orphans dropped by (5)
//                                  a goroutine is left that is new, or a thread unstopped   stop
//   stop   everybody               a thread could not be stopped, at most three times       stop, 2 ms later
//                                  otherwise                                                end: decided
//
// Runs on the detector's thread.
#pragma once

#include <cstdint>
#include <vector>

#include "leak/model/proof_list.h"
#include "trace/snapshot.h"

namespace stray::leak {

struct view_of_all {
  trace::snapshot_outcome outcome;
  std::int64_t pause_ns = 0;  // the longest
  unsigned looks = 0;         // snapshots that stopped our own threads only
  unsigned stops = 0;         // snapshots that stopped everybody
  std::uint64_t signals = 0;  // sent, to our own threads and to others
};

// Fills the log. look: false goes straight to the second snapshot.
view_of_all take_view(trace::snapshot_request request, verdict_log& log, const std::vector<int>& askers,
                      const proof_list& known, bool look);

}  // namespace stray::leak
