// Reads the stack of a blocked task in this process, behind the inspecting bit: it cannot run away meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/task.h"

namespace stray::leak {

inline constexpr std::size_t usual_depth = 128;  // frames

// Return addresses, leaf (park) first. The task must be in state waiting and stay so (begin_inspection).
std::vector<std::uintptr_t> read_stack(const runtime::task& t, std::size_t most = usual_depth);
// Of the calling goroutine or thread; of a faulting goroutine from its saved context.
std::vector<std::uintptr_t> own_stack();

// First in a function that waits for a detection and leaves the work to another one: what earlier calls left below the caller's frame would
// lie in the gaps of ours while the detector reads them, and hide a leak.
void clear_stack_below() noexcept;

}  // namespace stray::leak
