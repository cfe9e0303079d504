// The unwind table of a program that has no .eh_frame_hdr (linked with -static): found by the section table of its own file.
#pragma once

#include <cstdint>
#include <vector>

namespace stray::profile::cfi {

// Where [.eh_frame] of /proc/self/exe lies in memory when its segments are moved by `bias`; {0, 0}: there is none.
struct memory_range {
  std::uintptr_t lo = 0, hi = 0;
};
memory_range find_eh_frame(std::uintptr_t bias);

}  // namespace stray::profile::cfi
