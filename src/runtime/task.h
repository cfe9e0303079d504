// The record of a task: a goroutine, or an OS thread that has used a primitive. It lies in hidden memory.
//
// The state word {seq:56, listed:1, pending:1, inspecting:1, state:5} is the truth about a task at every instant:
//
//   from -> to                      by                                  when
//   free -> init                    creator                             before the first byte of the closure is moved
//   init -> runnable                creator                             the closure is complete
//   runnable -> running             worker                              before the switch
//   running -> parking              the task (seq + 1)                  its wait record is complete
//   parking -> waiting              whoever runs next on that worker    sp is saved
//   waiting -> claimed              ONE waker, by CAS                   before it unlinks the node or writes owner or slot (CLAIM)
//   parking -> claimed_early        ONE waker, by CAS                   the same, before sp was saved
//   claimed_early -> claimed        whoever runs next on that worker    sp is saved
//   claimed -> runnable             the same waker
//   claimed_early -> runnable_early the same waker                      sp is not saved yet: it must not be queued
//   runnable_early -> runnable      whoever runs next on that worker    sp is saved, before it is queued
//   running -> runnable             its worker (yield)                  sp is saved, before it is queued
//   running -> dead -> free         its worker                          the closure is destroyed
//   claimed, inspecting -> +pending the waker, which then leaves        the inspector clears inspecting by one RMW and finishes the wake
//
// 1. A task is a candidate for a leak iff one load of its word says `waiting`; every other state but free and dead is a root.
// 2. A wait record (reason, nodes, primitive) changes only by its own task in state running, so it is complete whenever the state is not.
// 3. An OS thread skips the early states' hand-over: it has no saved sp and sleeps on its futex.
// 4. `listed` (reported as leaked) is cleared by the next parking; a claim that meets it was a wrong verdict and is counted.
// 5. The closure lies in `closure` (or in a heap block `closure_at` points to) until the first run moves it to the goroutine's own stack;
//    it is a scanned span of the task while closure_live: hidden memory, but no hidden user byte.
// 6. seq belongs to the record and only grows: free and init keep it, so (record, seq) never comes back with another task. A CAS that expects
//    a seq is therefore of that very wait, also if the record was recycled since the seq was read. The task's id, which may be read only while
//    the record stands still, is compared besides, behind the inspecting bit.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <stray/detail/own_record.hpp>
#include <stray/detail/wait_id.hpp>
#include <stray/go.hpp>
#include "base/address_space.h"
#include "runtime/read_holds.h"

namespace stray::runtime {

enum class state : std::uint8_t {
  free,
  init,
  runnable,
  running,
  parking,
  waiting,
  claimed,
  claimed_early,
  runnable_early,
  dead,
};
enum class wait_reason : std::uint8_t {
#define REASON(name, text, eligible, rule) name,
#include "runtime/wait_reasons.inc"
#undef REASON
};
const char* text_of(wait_reason r) noexcept;
constexpr bool eligible(wait_reason r) noexcept {
  constexpr bool table[] = {
#define REASON(name, text, eligible, rule) eligible,
#include "runtime/wait_reasons.inc"
#undef REASON
  };
  return table[static_cast<std::size_t>(r)];
}
// Are its wait records linked in queues of channels? Those of all others lie in the parking table.
constexpr bool is_on_channels(wait_reason r) noexcept {
  enum class rule { always, handle, nobody, owner, readers, reference };
  constexpr bool table[] = {
#define REASON(name, text, eligible, who) rule::who == rule::handle,
#include "runtime/wait_reasons.inc"
#undef REASON
  };
  return table[static_cast<std::size_t>(r)];
}

namespace word {
inline constexpr std::uint64_t state_mask = 0x1f, inspecting = 0x20, pending = 0x40, listed = 0x80, seq_one = 0x100;
constexpr state state_of(std::uint64_t w) noexcept { return static_cast<state>(w & state_mask); }
constexpr std::uint64_t seq_of(std::uint64_t w) noexcept { return w >> 8; }
constexpr std::uint64_t with(std::uint64_t w, state s) noexcept { return (w & ~state_mask) | static_cast<std::uint64_t>(s); }
// The same wait number with no flag: for the next task of a record.
constexpr std::uint64_t anew(std::uint64_t w, state s) noexcept { return with(w & ~(seq_one - 1), s); }
}  // namespace word

struct label_list;
struct task;
struct worker;

// One operation that a task waits for; linked in the primitive's queue. Hidden memory.
struct wait_node {
  wait_node* next = nullptr;
  wait_node* prev = nullptr;
  task* owner = nullptr;
  void* slot = nullptr;          // where the value goes or comes from: in the waiter's frame
  std::uintptr_t primitive = 0;  // the core, or the address of an embedded primitive
  std::uint32_t index = 0;       // number of the select case
  bool sends = false;
  bool linked = false;             // in a queue; guarded by the queue's lock
  bool signaled = false;           // condition_variable: notified before its task parked; guarded by the bucket's lock
  wait_node* lead_next = nullptr;  // parking table: next address in the bucket (of the first node of an address)
  wait_node* tail = nullptr;       // parking table: last node of this address (of the first node)
};

// An entry of the timer heap (runtime/timer.h): the timed wait of a task, or, with `fire`, a callback.
struct timer_entry {
  std::atomic<std::int64_t> when_ns{0};  // written under the heap's lock
  std::uint64_t seq = 0;                 // of the wait that it ends; callback: of this arming
  std::atomic<std::uint32_t> place{0};   // in the heap, 1-based; 0: not armed; written under the heap's lock
  // Callback only. due: the seq of an arming that was popped and has neither fired nor been stopped; 0: none.
  std::atomic<std::uint64_t> due{0};
  void (*fire)(timer_entry* entry, std::uint64_t seq, std::int64_t now_ns) noexcept = nullptr;
};

struct alignas(64) task {
  task* next = nullptr;          // run queue, list of the claimed, cache of records
  std::uint64_t owner_word = 0;  // what a lock that it holds has in its word: {id:56, thread:1, the lock's own:7}
  read_holds holds;
  std::atomic<std::uint64_t> word{0};
  std::uint64_t id = 0;                       // never reused, never 0 while not free
  std::uintptr_t sp = 0;                      // saved stack pointer, pointing to a saved_frame
  std::uintptr_t stack_lo = 0, stack_hi = 0;  // 0: no stack bound yet
  // Wait record (invariant 2).
  wait_node* nodes = nullptr;
  std::uint32_t node_count = 0;
  wait_reason reason = wait_reason::none;
  std::atomic<bool> is_thread{false}, is_main{false};  // these, tid and thread_start: read any time by the deadlock check
  std::atomic<bool> closure_live{false};
  std::int64_t wait_since_ns = 0;  // coarse clock, good to 10 ms
  // Written by the waker between claim and runnable.
  wait_node* fired = nullptr;  // nullptr: the timer
  bool fired_ok = false;       // channel: a value moved (false: closed)
  // Origin.
  std::uint8_t stack_class = 0;
  bool unwinds = false;  // its closure was compiled with exceptions
  std::atomic<bool> being_unwound{
      false};               // on the way to its end; written by who diverts it (divert.h), and by itself at the end
  std::atomic<int> tid{0};  // threads only
  std::uint64_t creator_id = 0;
  static constexpr std::size_t most_callers = 2;
  std::uintptr_t created_by = 0;               // return address in go's caller
  std::uintptr_t callers[most_callers] = {};   // in its caller, and in that one's (creators.h); 0: not known
  label_list* labels = nullptr;                // labels.h
  std::atomic<std::uint64_t> thread_start{0};  // field 22 of /proc/self/task/TID/stat
  std::atomic<std::uint32_t> futex{0};         // threads only
  std::uint32_t closure_size = 0, closure_align = 0;
  void* closure_at = nullptr;  // the closure: here or in a heap block
  void (*run)(void*) = nullptr;
  worker* bound = nullptr;     // lock_os_thread: runs only there
  std::uint32_t os_locks = 0;  // nested lock_os_thread calls
  timer_entry timer;
  void* fiber = nullptr;  // ThreadSanitizer's
  wait_node node;         // the common case: one operation
  alignas(16) unsigned char closure[detail::small_closure];

  static constexpr std::uint64_t owner_is_thread = 0x80;
  void name(std::uint64_t new_id, bool thread) noexcept {
    std::atomic_ref(id).store(new_id, std::memory_order_relaxed);  // order: read any time, as a part of a wait_id
    owner_word = new_id << 8 | (thread ? owner_is_thread : 0);
  }
  // Of one whose creator's callers are not known.
  void set_creator(std::uintptr_t pc, std::uint64_t goroutine) noexcept {
    created_by = pc;
    creator_id = goroutine;
    for (std::uintptr_t& one : callers) one = 0;
  }
  // Of the wait that `word_now` tells of; a mixture that names no wait if the record is recycled meanwhile.
  wait_id wait(std::uint64_t word_now) const noexcept {
    return wait_id(std::atomic_ref(const_cast<std::uint64_t&>(id)).load(std::memory_order_relaxed),
                   word::seq_of(word_now));  // order: a mixture does no harm
  }
  // By its maker, while it is nobody's: into that state, with the next number of a wait to come.
  void begin(state s) noexcept {
    word.store(word::anew(word.load(std::memory_order_relaxed), s), std::memory_order_release);  // order: for the snapshot
  }
  state current_state() const noexcept {
    return word::state_of(word.load(std::memory_order_acquire));
  }  // order: pairs with the RMWs
};

static_assert(offsetof(task, owner_word) == offsetof(detail::own_record, owner_word) &&
              offsetof(task, holds) + offsetof(read_holds, first) == offsetof(detail::own_record, hold));

base::slab<task>& tasks() noexcept;
// Nodes for waits with more than one operation, and for condition variables. Returned to a small cache; throws std::bad_alloc.
wait_node* alloc_nodes(std::size_t n);
void free_nodes(wait_node* nodes, std::size_t n) noexcept;
void forget_task_locks() noexcept;  // in the child of a fork

}  // namespace stray::runtime
