// One detection, by the detector's thread (detector.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "leak/model/ablation.h"
#include "leak/model/findings.h"

namespace stray::leak {

struct path_log;

struct detection_terms {
  const ablation& without;
  const std::vector<int>& askers;    // threads that wait for it
  std::int64_t pause_budget_ns = 0;  // 0: none
  std::uint64_t path_to = 0;         // goroutine
  path_log* path = nullptr;          // null: no path is asked for
};
std::shared_ptr<const findings> run_detection(const detection_terms& terms);

// What a pause would take now, from resident memory and page tables; 0: cannot be told.
std::int64_t predicted_pause_ns() noexcept;

// By reclaim, on the detector's thread, before it ends the first goroutine: what was proven until now is so no more, for destructors that run
// may hand out what they lead to.
void forget_proofs() noexcept;
// On the detector's thread: somebody has been reclaimed since this detection began, so its proofs are forgotten.
bool is_forgotten(const findings& f) noexcept;

// In the child of a fork: nothing was ever found.
void forget_detections_of_parent();

}  // namespace stray::leak
