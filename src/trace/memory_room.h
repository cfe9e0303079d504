// Is there memory for a snapshot? It takes the page tables at once, and then a page for each one that the program writes while the child
// lives. Where a control group is at its limit the kernel kills: the child first (its oom_score_adj), but with memory.oom.group, which
// Kubernetes sets, all of the group at once. So there is room or no snapshot, and the parent looks again while the child lives.
// Raw system calls; allocates nothing.
#pragma once

#include <cstdint>

namespace stray::trace {

struct process_memory {
  std::uint64_t resident = 0, page_tables = 0;  // bytes; 0: cannot be told
};
process_memory memory_of_process() noexcept;

inline constexpr std::uint64_t unlimited_room = ~std::uint64_t{0};
// Bytes below the limit of the tightest control group, page cache that can be dropped included. What `enough` already covers
// is not looked at more closely.
std::uint64_t room_in_groups(const char* list, const char* mount, std::uint64_t enough) noexcept;

// What must be free before the clone, and later at every look: at 4 GB/s of copied pages 32 MiB are 8 ms.
constexpr std::uint64_t mib = 1 << 20;
inline std::uint64_t room_before_clone(const process_memory& m) noexcept {
  return m.page_tables + (m.resident < 64 * mib ? m.resident : 64 * mib);
}
inline std::uint64_t room_while_child_lives(const process_memory& m) noexcept {
  return m.resident < 64 * mib ? m.resident / 2 : 32 * mib;
}

}  // namespace stray::trace
