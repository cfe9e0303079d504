// A task source (task_source.h) as the snapshot's child sees it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cfi.h"
#include "leak/model/ablation.h"
#include "leak/model/wait_graph.h"
#include "trace/client.h"
#include "trace/image_types.h"

namespace stray::leak {

// The nodes of one source, by record.
struct source_part {
  trace::slice<node> nodes;
  std::uint32_t first;  // the number of the first one in the graph
  std::uint8_t source;  // for node::source
  const ablation& without;
};

// Plain functions: a table of virtual ones would pull the others into the child's code.
struct frozen_source {
  const void* self = nullptr;
  std::size_t (*records)(const void* self) noexcept = nullptr;  // how many it has at that instant, unused ones included
  // Writes each node of its part, and its waits and edges. false: out of memory.
  bool (*fill)(const void* self, const source_part& part, trace::bump& memory, wait_graph& graph) noexcept = nullptr;
  // Is the thread one of its own, or does one of its tasks stand there? Then what it is to the tracer. May complete nodes (their stacks are
  // not read before). Null: no thread is.
  bool (*role_of)(const void* self, wait_graph& graph, const trace::stopped_thread& thread,
                  trace::thread_role& role) noexcept = nullptr;
  // The frame in which a blocked task with a stack of its own goes on. Null: none has one.
  bool (*registers_of)(const node& n, base::cfi::frame& out) noexcept = nullptr;
  base::range outermost{};  // code of the outermost frame of such a stack; of one source
};

inline constexpr std::size_t most_sources = 4;

}  // namespace stray::leak
