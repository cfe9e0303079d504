// What each thread of the frozen process is to the tracer, told from the wait graph and the workers' records. Pure; runs in the snapshot.
//
// 1. A worker on its own native stack is not scanned: what it has in hand is told by state words (CLAIM), and no byte of the program's is
//    there. Scanning it hides a goroutine that has just parked: its record is still in a register (3 of 60 reports of the demo). The same
//    holds for the watcher.
// 2. The graph's nodes are completed on the way: a goroutine that a worker runs is on_cpu, and one whose thread stands on another stack is
//    interrupted. So this runs before any node's stack is read.
#pragma once

#include "leak/task_source.h"

namespace stray::trace {
struct image;
}

namespace stray::leak {

void assign_thread_roles(const source_view& view, wait_graph& graph, trace::image& image) noexcept;

}  // namespace stray::leak
