// The seam for everything that can be blocked: goroutines and OS threads today; coroutine frames later. A source says who waits on what;
// classification decides from that alone.
#pragma once

#include "leak/wait_graph.h"
#include "runtime/stack.h"
#include "runtime/start.h"
#include "runtime/timer.h"
#include "runtime/worker.h"

namespace stray::leak {

// What the parent captures for the child, before any thread is stopped.
struct source_view {
  const base::slab<runtime::task>* tasks = nullptr;
  const void* cores = nullptr;  // base::slab<detail::chan_core>
  const runtime::ended_hold_list* ended_holds = nullptr;
  int detector_tid = 0;
  int watcher_tid = 0;
  const runtime::service_threads* services = nullptr;
  base::range reservation;
  base::range entry;                            // code of the outermost frame of each goroutine
  const runtime::stack_view* stacks = nullptr;  // stack_classes of them
  runtime::task* const* forking_record = nullptr;
  const runtime::worker* workers = nullptr;
  int worker_count = 0;
  const runtime::timer_table* timers = nullptr;
};

// Runs in the snapshot: fills the graph from the frozen records. false: out of bump memory.
bool fill_from_goroutines(const source_view& view, bool holds_rule, trace::bump& memory, wait_graph& graph) noexcept;
// Its part for locks: edges from waiters to owners.
// holds_rule: as in ablation.
bool add_lock_owners(const source_view& view, bool holds_rule, trace::bump& memory, wait_graph& graph) noexcept;

}  // namespace stray::leak
