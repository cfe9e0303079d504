// Would a forced unwinding of a waiting goroutine get from its park to its entry? Asked before anything is touched.
//
// 1. The frames are read twice: by our reader, in the bounds of the stack, and, only when that got to the entry, by the unwinder that will
//    do it. Both must see the same frames.
// 2. Each frame's personality routine is asked in its search phase, about an exception of a class that nobody knows and about a forced
//    unwinding. Any answer but "go on" is an obstacle: a handler, a noexcept function, a destructor that blocked.
//    What it cannot tell is a noexcept function in which something is destroyed on the way: its code is searched (terminates.h).
// 3. A personality routine that is neither C++'s nor C's of this process is an obstacle: nobody knows what it does with a forced unwinding.
// Rejected: reading the exception tables ourselves (a second opinion on what a foreign runtime will do); resuming the goroutine and looking from
// its own stack (a refusal would have to put it back).
// On the detector's thread; allocates.
#pragma once

#include <cstdint>

#include "runtime/task.h"

namespace stray::leak {

class terminate_calls;

struct way_out {
  std::uintptr_t end = 0;          // return address in the goroutine's entry, where the unwinding ends
  const char* obstacle = nullptr;  // what is in the way; nullptr: nothing
  std::uintptr_t at = 0;           // return address in the frame that is in the way; 0: none
};
// t waits and stays so (begin_inspection).
way_out dry_run(const runtime::task& t, terminate_calls& ends);

}  // namespace stray::leak
