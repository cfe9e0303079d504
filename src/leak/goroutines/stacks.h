// Reads the stack of a blocked task in this process, behind the inspecting bit: it cannot run away meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "leak/model/thread_stacks.h"
#include "profile/sample.h"
#include "runtime/task.h"

namespace stray::leak {

inline constexpr std::size_t usual_depth = 128;  // frames

// Return addresses, leaf (park) first. The task must be in state waiting and stay so (begin_inspection).
std::vector<std::uintptr_t> read_stack(const runtime::task& t, thread_stacks& threads, std::size_t most = usual_depth);
std::vector<std::uintptr_t> read_stack(const runtime::task& t, std::size_t most = usual_depth);
// As above.
std::vector<profile::label> read_labels(const runtime::task& t);
// Of the calling goroutine or thread; of a faulting goroutine from its saved context.
std::vector<std::uintptr_t> own_stack();

}  // namespace stray::leak
