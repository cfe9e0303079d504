// Views and controls: the two blocks behind a context that can be cancelled, both in the ordinary heap.
//
// What leads where, for the detector: a context -> its view -> done as recv_chan, values, parent view. A cancel_func -> its control -> done as
// full handle, list of children -> their controls. So who can cancel leads to everything that he can cancel, and a context to nothing.
// Links the other way (view to control, control to parent and view) are masked: they give no right.
//
// 1. A control lives by its references: the cancel_funcs together (cancels), its place in its parent's list, the pending or firing deadline,
//    the bridge from a stop_token, and whoever works on it. Without any, nobody can ever cancel it: it is destroyed, and with it the full handle.
// 2. A view's memory lives by `weak`: the handles (contexts and child views) together, and its control. Its contents go with the handles.
// 3. control::lock guards err, parent, bridge, stop; and children, count, room of this list and `index` of those in it. Two such locks are
//    never held at once (but for that of a child that nobody else knows yet); under one only the heap of timers' lock is taken. view::lock guards the masked control, and nothing is taken under
//    it. No lock is held while a channel is closed, memory allocated or freed, a stop callback registered, removed or run.
// 4. Cancelling sets err under the lock; from then on the list of children belongs to who did that: he cancels them one by one, without
//    recursion (`up`), and frees the lists on the way back, so that at every instant the control that he began with leads to all that is
//    still to be cancelled (deadlines run on a worker's own stack, which is not scanned: there the firing entry states that control).
// 5. A view's err goes to closing before done is closed, and to closed after; who reads closing waits for done.
// 6. A control nobody can make use of any more (no cancel_func, no context, no done, no child, no stop_token given out) leaves its parent's
//    list at once, or, when done was the last to go, when that list would next grow: a long-lived parent does not pile them up.
#pragma once

#include <stop_token>

#include <stray/context.hpp>
#include "base/spin_lock.h"
#include "runtime/timer.h"

namespace stray::detail {

struct cancel_view final : context_view {
  std::atomic<std::uint32_t> weak{1};
  std::atomic<std::uint8_t> state{0};  // 0, code | closing, code: written by who cancels
  recv_chan<void> done;
  std::int64_t deadline_ns = runtime::no_deadline;
  base::spin_lock lock;
  std::uintptr_t control = 0;  // masked; 0: destroyed

  static constexpr std::uint8_t closing = 0x80;
};

struct stop_node {  // of context::stop_token
  std::stop_source source;
  stop_node* next = nullptr;
};
struct stop_bridge {  // of with_stop_token
  struct call {
    stop_bridge* bridge;
    void operator()() const noexcept;
  };
  context_control* control;  // a reference
  std::stop_callback<call> callback;

  stop_bridge(context_control* c, const std::stop_token& token) : control(c), callback(token, call{this}) {}
};

struct context_control {
  runtime::timer_entry deadline;
  std::atomic<std::uint32_t> refs{1}, cancels{1};
  base::spin_lock lock;
  std::uint8_t err = 0;
  chan<void> done;
  std::uintptr_t view = 0;    // masked
  std::uintptr_t parent = 0;  // masked; 0: none
  std::uint32_t index = 0;
  std::uint32_t count = 0, room = 0, cursor = 0;  // cursor: of who cancels
  context_control** children = nullptr;           // a block of `room`; each is a reference
  context_control* up = nullptr;                  // of who cancels or destroys
  stop_bridge* bridge = nullptr;
  stop_node* stop = nullptr;
  std::uintptr_t made_at = 0;
  std::uint64_t maker = 0;
};

}  // namespace stray::detail

namespace stray::sync {

using detail::cancel_view;
using detail::context_control;

inline constexpr std::uintptr_t link_mask = 0x9d37'c0de'5a5a'a5a5;  // no address
template <class T>
std::uintptr_t masked(T* p) noexcept {
  return p == nullptr ? 0 : reinterpret_cast<std::uintptr_t>(p) ^ link_mask;
}
template <class T>
T* unmasked(std::uintptr_t p) noexcept {
  return p == 0 ? nullptr : reinterpret_cast<T*>(p ^ link_mask);
}

inline void hold(context_control* c) noexcept {
  c->refs.fetch_add(1, std::memory_order_relaxed);
}  // order: made from one that is held
void release(context_control* c) noexcept;
void release_weak(cancel_view* v) noexcept;
void delete_bridge(detail::stop_bridge* b) noexcept;
// The control of a view, as a reference; nullptr: nobody can cancel it.
context_control* control_of(cancel_view* v) noexcept;
// Invariant 6. The caller has a reference, and keeps it.
void drop_if_useless(context_control* c) noexcept;
// Puts a new child into p's list; otherwise says why p has been cancelled. The caller has references to both. Throws std::bad_alloc.
context_errc add_child(context_control* p, context_control* child);
// c and all below it. The caller has a reference. here: callbacks of users may run in this thread; otherwise they run in a goroutine.
void cancel_tree(context_control* c, context_errc why, bool here) noexcept;

}  // namespace stray::sync
