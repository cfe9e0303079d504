// The channel behind every handle, as bytes. It lies in a hidden slab: "is this word a channel?" is one range test.
//
// Invariants, at every instant at which `lock` is free:
// 1. At most one of recvq and sendq holds a task that can still be claimed, except for selects that wait on both sides.
// 2. count > 0 implies that recvq holds no such task; count < capacity implies that sendq holds none; capacity == 0 implies count == 0.
// 3. Elements [head, head + count) of the ring exist; the ring is an ordinary heap block, a stated span of the core.
// 4. A waker claims a task before it unlinks its node (CLAIM); the waker's last touch of the core is unlocking it, before make_runnable.
// 5. refs counts every handle, also those inside the library. At 0 nobody can be queued.
#pragma once

#include <cstdint>

#include "base/address_space.h"
#include "base/spin_lock.h"
#include "runtime/task.h"
#include <stray/detail/chan_ops.hpp>

namespace stray::sync {

struct wait_queue {
  runtime::wait_node* head = nullptr;
  runtime::wait_node* tail = nullptr;

  void push(runtime::wait_node* n) noexcept {
    n->next = nullptr;
    n->prev = tail;
    (tail != nullptr ? tail->next : head) = n;
    tail = n;
    n->linked = true;
  }
  void remove(runtime::wait_node* n) noexcept {
    (n->prev != nullptr ? n->prev->next : head) = n->next;
    (n->next != nullptr ? n->next->prev : tail) = n->prev;
    n->linked = false;
  }
};

}  // namespace stray::sync

namespace stray::detail {

struct alignas(64) chan_core {
  core_refs refs;  // in a free slot: the free list's link
  base::spin_lock lock;
  bool closed = false;
  std::atomic<bool> in_use{false};  // handed out; written by make and destroy
  const element_ops* ops = nullptr;
  std::uint32_t capacity = 0, count = 0, head = 0;
  unsigned char* ring = nullptr;
  sync::wait_queue recvq, sendq;
  std::uintptr_t made_at = 0;  // return address in make_chan's caller; never dereferenced
};
static_assert(sizeof(chan_core) == 128);

}  // namespace stray::detail

namespace stray::sync {

using detail::chan_core;
base::slab<chan_core>& cores() noexcept;

enum class progress : std::uint8_t { done, closed, blocked };
// One attempt under the lock. A partner that was claimed is returned in *wake, for make_runnable after unlocking.
progress send_locked(chan_core* c, void* value, runtime::task** wake) noexcept;
progress recv_locked(chan_core* c, void* slot, runtime::task** wake) noexcept;

[[noreturn]] void panic_send_on_closed();

}  // namespace stray::sync
