// Where glibc keeps a thread's stack block and id in its control block (TCB), found without its headers, and the thread stacks that the
// frozen process has.
//
// 1. Offsets are found by comparing two probe threads with what pthread_getattr_np and gettid say; if they do not agree, `known` is
//    false and no native stack is recognised: its whole mapping is a root.
// 2. A TCB's words 0 and 2 are its own address. Thread id 0 or below: no thread runs on that stack, its frames are dead. In the ring of
//    cached stacks all of it is; elsewhere the TCB counts: it holds the result for pthread_join, or the argument of a thread being made.
// 3. glibc links all TCBs in two rings, of stacks in use and of cached ones; both are followed from their heads. A mapping's end alone
//    would not do: the kernel merges a stack with an anonymous neighbour above it, and memory that a thread was given as its stack
//    (pthread_attr_setstack) has a new owner after it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trace/bump.h"
#include "trace/image_types.h"
#include "trace/vector_state.h"

namespace stray::trace {

struct thread_layout {
  bool known = false;
  std::uint32_t tid_at = 0;      // offset in the TCB
  std::uint32_t block_at = 0;    // stackblock; its size follows
  std::uint32_t tcb_to_end = 0;  // distance from the TCB to the end of a stack block that libc made
  std::uint32_t list_at = 0;     // the ring's links, next and previous; 0: not found
  std::uintptr_t rings[2] = {};  // heads: stacks in use, cached ones; 0: not found
  // The frames of a thread's function end at tcb - frames_below, static TLS begins at tcb - tls_below. In between lies the frame from which
  // libc calls the function: it has saved registers that the thread got from its creator, and their words mean nothing any more.
  std::uint32_t frames_below = 0, tls_below = 0;
  std::uintptr_t main_stack_end = 0;  // sp at the start of the process: arguments and environment lie from there up
  std::uintptr_t signal_return = 0;   // libc's __restore_rt: a return address found only above a signal frame; 0: unknown
  vector_layout vectors;
};

// Parent, at start-up; starts two short-lived threads.
void find_thread_layout(thread_layout& layout) noexcept;
// With find_heap; false: a descriptor was missing, and what was found is not all.
bool discover(struct heap_facts& heap, thread_layout& layout) noexcept;

struct image;

struct native_stack {
  std::uintptr_t lo, hi;  // the whole block, guard included
  std::uintptr_t tcb;
  int tid;      // <= 0: no thread runs on it
  bool cached;  // kept by glibc for the next thread
};

// The stacks of the frozen process, by address. Pure; runs in the snapshot.
class native_stacks {
 public:
  void find(image& in, const thread_layout& layout, std::uintptr_t caller_fs) noexcept;
  const native_stack* by_fs(std::uintptr_t fs_base) const noexcept;
  const native_stack* by_tid(int tid) const noexcept;
  std::uintptr_t tcb_of(int tid, int main_tid) const noexcept;  // 0: unknown
  slice<native_stack> all() const noexcept { return {items_.begin(), items_.size()}; }

 private:
  bool look(image& in, const thread_layout& layout, std::uintptr_t tcb, bool cached) noexcept;
  void find_main(const image& in, const thread_layout& layout) noexcept;
  list<native_stack> items_;
  std::uintptr_t main_tcb_ = 0;
};

}  // namespace stray::trace
