// The channel behind every handle, as bytes. It lies in a hidden slab: "is this word a channel?" is one range test.
//
// Invariants, at every instant at which `lock` is free:
// 1. At most one of recvq and sendq holds a task that can still be claimed, except for selects that wait on both sides.
// 2. count > 0 implies that recvq holds no such task; a free slot implies that sendq holds none; capacity == 0 implies count == 0.
// 3. The ring is an ordinary heap block, a stated span of the core: slots for elements, and behind them, when elements have destructors, two
//    lists of slot numbers: `order` (elements, oldest first, from head) and `free_slots`. Without destructors slots are used in ring order.
//    A destructor runs outside the lock, so a slot stays taken between the move out of it and its destructor's end (vacate).
// 4. A waker claims a task before it unlinks its node (CLAIM); the waker's last touch of the core is unlocking it, before make_runnable.
// 5. refs counts every handle, also those inside the library. At 0 nobody can be queued.
// 6. A slot of the ring without an element is zero: a word left there would keep alive what was received long ago.
#pragma once

#include <cstdint>

#include <stray/detail/chan_ops.hpp>
#include "base/address_space.h"
#include "base/hint.h"
#include "base/spin_lock.h"
#include "runtime/task.h"

namespace stray::sync {

struct wait_queue {
  base::hint<runtime::wait_node*> head;
  runtime::wait_node* tail = nullptr;

  void push(runtime::wait_node* n) noexcept {
    n->next = nullptr;
    n->prev = tail;
    if (tail != nullptr) {
      tail->next = n;
    } else {
      head = n;
    }
    tail = n;
    n->linked = true;
  }
  void remove(runtime::wait_node* n) noexcept {
    if (n->prev != nullptr) {
      n->prev->next = n->next;
    } else {
      head = n->next;
    }
    (n->next != nullptr ? n->next->prev : tail) = n->prev;
    n->linked = false;
  }
};

}  // namespace stray::sync

namespace stray::detail {

struct alignas(64) chan_core {
  core_refs refs;  // in a free slot: the free list's link
  base::spin_lock lock;
  base::hint<bool> closed{false};
  std::atomic<bool> in_use{false};  // handed out; written by make and destroy
  const element_ops* ops = nullptr;
  std::uint32_t capacity = 0, head = 0;
  base::hint<std::uint32_t> count{0}, free_count{0};
  unsigned char* ring = nullptr;
  sync::wait_queue recvq, sendq;
  std::uintptr_t made_at = 0;  // return address in make_chan's caller; never dereferenced
};
static_assert(sizeof(chan_core) == 128);

}  // namespace stray::detail

namespace stray::sync {

using detail::chan_core;
base::slab<chan_core>& cores() noexcept;

bool has_room(const chan_core* c) noexcept;  // for one more element; without the lock: a hint

enum class progress : std::uint8_t { done, closed, blocked };
// One attempt under the lock. A partner that was claimed is returned in *wake, for make_runnable after unlocking.
progress send_locked(chan_core* c, void* value, runtime::task** wake) noexcept;
// *left is then the slot of the ring whose element was moved out and must be destroyed by vacate, without the lock; nullptr: none.
progress recv_locked(chan_core* c, void* slot, runtime::task** wake, unsigned char** left) noexcept;
void vacate(chan_core* c, unsigned char* left) noexcept;

[[noreturn]] void panic_send_on_closed();

}  // namespace stray::sync
