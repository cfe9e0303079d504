// What the parent captures of the runtime for the child, and how the child reads it. Pure; runs in the snapshot on frozen records.
//
// 1. One load of the state word decides: waiting for an eligible reason = candidate; free and dead = nothing; all else = root.
// 2. Whom the waiters for locks wait for is lock_owners.cpp's.
// 3. Timers: every armed callback is in a slot of the heap or in `moving`, every popped one in a batch, whatever the instant (timer.h). They
//    are taken as addresses, never read: a stale slot may name a block that is gone. Entries in task records are no callbacks.
// 4. A task's closure is its span from before the first byte is moved in until it has been moved out.
#pragma once

#include "leak/model/frozen_source.h"
#include "runtime/service_thread.h"
#include "runtime/stack.h"
#include "runtime/timer.h"
#include "runtime/worker.h"

namespace stray::detail {
struct chan_core;
}

namespace stray::leak {

struct frozen_goroutines {
  const base::slab<runtime::task>* tasks = nullptr;
  const base::slab<detail::chan_core>* cores = nullptr;
  const runtime::ended_hold_list* ended_holds = nullptr;
  int detector_tid = 0;
  int watcher_tid = 0;
  const runtime::service_threads* services = nullptr;
  const runtime::stack_view* stacks = nullptr;  // stack_classes of them
  runtime::task* const* forking_record = nullptr;
  const runtime::worker* workers = nullptr;
  int worker_count = 0;
  const runtime::timer_table* timers = nullptr;

  mutable trace::slice<node> nodes;  // its part of the graph, in the child: by record
  mutable std::uint32_t first = 0;

  std::uint32_t end() const noexcept { return first + static_cast<std::uint32_t>(nodes.size); }
  // The record's number in the slab; >= nodes.size: it lies in none.
  std::size_t record_of(const runtime::task* t) const noexcept {
    return (reinterpret_cast<std::uintptr_t>(t) - tasks->where().lo) / sizeof(runtime::task);
  }
  node* node_of(const runtime::task* t) const noexcept { return t == nullptr ? nullptr : &nodes[record_of(t)]; }
};

// The functions of frozen_source; self: a frozen_goroutines.
std::size_t count_records(const void* self) noexcept;
bool fill_graph(const void* self, const source_part& part, trace::bump& memory, wait_graph& graph) noexcept;
bool role_of_thread(const void* self, wait_graph& graph, const trace::stopped_thread& thread,
                    trace::thread_role& role) noexcept;
bool saved_registers(const node& n, base::cfi::frame& out) noexcept;

// Part of fill_graph: edges from waiters to the owners of their locks. holds_rule: as in ablation.
bool add_lock_owners(const frozen_goroutines& view, bool holds_rule, trace::bump& memory, wait_graph& graph) noexcept;

}  // namespace stray::leak
