// What the snapshot's child says of one candidate, and the log in which it says it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <stray/detail/wait_id.hpp>
#include "base/address_space.h"

namespace stray::leak {

enum class grounds : std::uint8_t {
  no_holder,       // nobody alive holds a handle that could wake it
  nobody,          // nil channel, select without cases
  owner_leaked,    // the lock's owner is itself leaked
  owner_is_self,   // locked twice
  owner_ended,     // the owner has ended without unlocking
  in_cycle,        // a cycle of locks
  no_reference,    // nothing alive refers to the primitive
  ambiguous_word,  // likely: one word in the frame of a sleeping thread
  orphan,          // likely: a block that nothing is seen to refer to
  uncounted,       // likely: a handle was not found
  not_stopped,     // likely: a thread could not be stopped, or memory could not be read
  unaligned,       // likely: a word at no multiple of 8 bytes, or in two halves
  out_of_sight,    // likely: a place that may hold pointers and cannot be read; `at` is its number among the doubts
  left_frames,     // likely: a word below a stack pointer whose frames do not lead to the beginning of their stack
  saved_context,   // likely: a word that setjmp or getcontext has saved, or below the stack pointer from where that one points
  outlier,         // suspected: by its age only (suspects.h); never in a verdict
  filling,         // suspected: its site fills up (suspects.h); never in a verdict
};

inline constexpr std::size_t grounds_count = static_cast<std::size_t>(grounds::filling) + 1;

enum class verdict_tier : std::uint8_t { likely = 1, cycle = 2, proven = 3 };  // as leak::tier

// Of tasks, the first few.
struct few_ids {
  static constexpr std::uint32_t room = 4;
  std::uint64_t at[room];
  std::uint8_t count;
  bool all_known;
};

struct verdict {
  std::uint32_t record;  // of its source
  verdict_tier tier;
  grounds reason;
  bool for_reading;  // the owners hold the lock for reading
  std::uint8_t source;
  wait_id wait;
  std::uintptr_t at;  // likely: where the word or block lies
  base::range stack;  // the frames of a goroutine, to be asked for before they are read; no more than a hint
  static constexpr std::uint32_t owners_named = 4;
  // Of those that keep it from the lock; waiting for no lock: of several that could wake it, more than owners_named if not all are known.
  std::uint32_t owner_count;
  std::uint64_t owner_ids[owners_named];
  // blame.h, by task id; 0: nobody.
  std::uint64_t waits_for, root;
  bool ring;
  std::uint64_t heap_bytes;
  few_ids wakers;  // all of the leaked whose end might wake it
};

// In memory shared by parent and child.
struct verdict_log {
  std::uint64_t candidates;
  std::uint64_t undecided;  // candidates of a tracer that could not see enough
  std::uint64_t count;
  std::uint64_t room;
  bool blind;          // the heap could not be walked
  bool main_is_stuck;  // the main thread is reported never: `main` is where it stands in the causes of others
  verdict main;
  bool finished;
  verdict list[1];  // room of them
};

}  // namespace stray::leak
