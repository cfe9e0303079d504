// What one detection found, before anybody's options are applied. Plain values: no address of anything that could be a root.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <stray/leak.hpp>
#include "leak/model/verdict.h"
#include "leak/model/wait_graph.h"
#include "profile/sample.h"

namespace stray::leak {

// Return addresses: in who called go, in its caller, and in that one's; 0: not known.
using creator_chain = std::array<std::uintptr_t, 3>;

struct finding {
  std::uint64_t id = 0;      // goroutine id, or TID
  wait_id wait;              // by its task owners are named
  std::uint8_t source = 0;   // number of its task source
  std::uint32_t record = 0;  // of that source
  bool thread = false;
  bool proven_before = false;  // by an earlier detection, not by this one (look_first.h 2)
  std::string thread_name;
  leak::tier tier = tier::proven;
  grounds reason = grounds::no_holder;
  std::string_view waits;  // Go's text; static
  wait_kind kind = wait_kind::other;
  std::int64_t since_ns = 0, age_ns = 0;  // monotonic
  std::size_t bytes = 0;                  // of stack
  std::uint64_t creator_id = 0;
  creator_chain creators{};
  std::uintptr_t made_at = 0;               // return address
  std::vector<std::uintptr_t> made_at_too;  // of a select: its other channels
  std::vector<std::uintptr_t> pcs;
  std::vector<profile::label> labels;    // by key
  std::string place;                     // likely: where the word or block lies; suspected: what it is compared with
  std::vector<std::uint64_t> owner_ids;  // of the lock, or several that could wake it (blame.h): some of them
  std::size_t owner_count = 0;
  bool for_reading = false;             // they hold it for reading
  std::uintptr_t masked_primitive = 0;  // the complement of an embedded primitive's address; 0: none
  // blame.h, by task id; 0: nobody.
  std::uint64_t waits_for = 0, root = 0;
  bool ring = false;
  std::size_t heap_bytes = 0;
  few_ids wakers{};  // of the leaked, by task id
};

struct findings {
  std::vector<finding> list;
  std::vector<std::string> notes;
  bool complete = true;
  std::chrono::nanoseconds pause{0}, elapsed{0};
  std::size_t blocks = 0;                         // of the heap, in use
  std::uint64_t unknown_bytes = 0;                // of the memory that is a root because nobody knows what it is
  std::chrono::nanoseconds walked{0}, judged{0};  // how long the snapshot took to list the heap and the roots, and to decide
  unsigned looks = 0, stops = 0;                  // snapshots for which others' threads were not stopped, were stopped
  std::uint64_t signals = 0;                      // sent to stop threads
  std::chrono::system_clock::time_point taken{};
  std::uint64_t generation = 0;
  std::uint64_t main_task_id = 0;  // of the main thread's record; 0: it has none
  std::optional<finding> main;  // the main thread, if it can never wake: it is not reported, and others' causes lead through it
};

}  // namespace stray::leak
