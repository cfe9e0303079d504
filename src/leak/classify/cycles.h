// Cycles of locks. Pure; runs in the snapshot.
#pragma once

#include "leak/model/wait_graph.h"

namespace stray::leak {

// Marks the nodes that are in a cycle of locks, when all that is live is known. false: out of memory.
bool find_cycles(wait_graph& graph, trace::bump& memory) noexcept;

}  // namespace stray::leak
