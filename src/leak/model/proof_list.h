// What detections have proven so far (look_first.h 2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "leak/model/verdict.h"

namespace stray::leak {

// Who was proven leaked by a snapshot that stopped everybody, and what was said of them. It lies in a heap block between two detections, so
// it keeps numbers only: no word of it looks like an address.
class proof_list {
 public:
  // Also asked by the snapshot's child.
  bool holds(wait_id w) const noexcept {
    std::size_t lo = 0, hi = list_.size();
    while (lo < hi) {
      std::size_t mid = (lo + hi) / 2;
      if (list_[mid].wait < w) {
        lo = mid + 1;
      } else {
        hi = mid;
      }
    }
    return lo < list_.size() && list_[lo].wait == w;
  }
  // Those that the log does not prove and that are in the same wait still, with what was said when they were proven. nullptr: a detection
  // that decided nothing.
  std::vector<verdict> others(const verdict_log* log) const;
  // In place of what is kept: what the log proves, and the others.
  void replace(const verdict_log& log, const std::vector<verdict>& others);
  void clear() noexcept {
    list_.clear();
    owners_.clear();
  }

 private:
  struct proof {
    wait_id wait;
    std::uint64_t waits_for, root, heap_bytes;
    std::uint32_t first_owner;  // in owners_
    std::uint32_t owner_count;
    std::uint32_t record;
    std::uint8_t source;
    grounds reason;
    bool for_reading, ring;
    verdict_tier tier;  // last: as the highest byte of its word it makes that no address
    bool operator<(const proof& o) const noexcept { return wait < o.wait; }
  };
  void add(const verdict& v);
  verdict as_verdict(const proof& p) const noexcept;

  std::vector<proof> list_;  // sorted
  std::vector<std::uint64_t> owners_;
};

}  // namespace stray::leak
