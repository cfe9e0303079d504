// In the snapshot's child: a read of memory that is not there becomes a read of zeros and a line of the report, not the child's death.
//
// 1. The page that faults is replaced in the child's own copy of the memory; the program's is not touched.
// 2. Each fault makes the image blind (nothing may be proven), since what should have been read was not. A fault is a bug of ours.
// 3. Where no page can be put (address 0, not canonical), or after 1000, the fault ends the child.
// Pure; runs in the snapshot.
#pragma once

#include <cstdint>

#include "trace/image_types.h"

namespace stray::trace {

void guard_faults(note_log& notes) noexcept;
unsigned faults_met() noexcept;

}  // namespace stray::trace
