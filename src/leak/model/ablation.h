// What a detection is told to leave out, for ablation tests only: each rule has a test that fails without it.
#pragma once

namespace stray::leak {

struct ablation {
  unsigned off = 0;         // bits of trace::root to ignore
  bool count_rule = true;   // off: no core is exact (COUNT)
  bool holds_rule = true;   // off: holds of a shared_mutex need not add up to its count
  bool timer_roots = true;  // off: pending callbacks are no roots
  bool blame = true;        // off: causes name no root leak, nothing is said of what is kept

  bool none() const noexcept { return off == 0 && count_rule && holds_rule && timer_roots && blame; }
};

}  // namespace stray::leak
