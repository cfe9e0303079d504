// What the parent hands to the child of a snapshot, by being its copy.
#pragma once

#include <atomic>
#include <cstdint>

#include "trace/doubts.h"
#include "trace/heap_source.h"
#include "trace/pause_copy.h"
#include "trace/snapshot_request.h"
#include "trace/thread_layout.h"

namespace stray::trace {

// Shared by both, MAP_SHARED. The child writes, and stores `done` last.
struct snapshot_page {
  note_log notes;
  doubt_log doubts;
  std::atomic<std::uint32_t> done;  // 1: all is written; a futex
  std::uint32_t failed;             // the child's memory ran out, or it could not read its own maps
  std::uint32_t unstopped, blind;
  std::uint32_t faults, unknown;
  std::uint64_t blocks, unknown_bytes;
  std::int64_t walk_ns, decide_ns;
};

struct child_input {
  const snapshot_request* request;
  const heap_facts* heap;
  const thread_layout* layout;
  const pause_copy* pause;
  slice<const std::uintptr_t> held_locks;
  slice<stopped_thread> threads;
  slice<const range> ours[4];
  snapshot_page* page;
  int parent_pid;
  bool caller_is_main;
};

inline constexpr std::uint32_t failed_memory = 1, failed_maps = 2;

[[noreturn]] void run_child(const child_input& input) noexcept;

}  // namespace stray::trace
