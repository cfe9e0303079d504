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

// In the child of a fork: nothing was ever found.
void forget_detections_of_parent();

}  // namespace stray::leak
