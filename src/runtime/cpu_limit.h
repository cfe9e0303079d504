// How many processors the control groups of this process let it use.
#pragma once

namespace stray::runtime {

// quota / period, rounded up, of the strictest of its groups (v2: cpu.max; v1: cpu.cfs_quota_us); 0: no limit. `list` is /proc/self/cgroup,
// `mount` where the hierarchy is mounted. Read once, at start.
int cpu_limit(const char* list, const char* mount) noexcept;

}  // namespace stray::runtime
