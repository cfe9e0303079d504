#include "sync/chan_core.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include <stray/panic.hpp>
#include "base/stale_words.h"
#include "runtime/current.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"

namespace stray::sync {

using runtime::task;
using runtime::wait_node;

namespace {

constinit base::slab<chan_core> core_slab(std::size_t{8} << 20);

// Where the lists of slot numbers begin, behind the elements.
std::size_t lists_at(const detail::element_ops& ops, std::size_t capacity) noexcept {
  return (capacity * ops.size + 3) & ~std::size_t{3};
}

// The first task of the queue that this waker wins; its node is unlinked. Nodes of selects that went elsewhere are dropped on the way.
wait_node* claim_first(wait_queue& q) noexcept {
  while (wait_node* n = q.head) {
    bool mine = runtime::try_claim(n->owner);
    q.remove(n);
    if (mine) return n;
  }
  return nullptr;
}

// Zero, by rule 6; large ones are fresh pages, which cost nothing until they are used.
unsigned char* make_ring(const detail::element_ops& ops, std::size_t capacity) {
  const std::size_t size = lists_at(ops, capacity) + (ops.destroy_at != nullptr ? 2 * capacity * sizeof(std::uint32_t) : 0);
  void* ring = nullptr;
  if (ops.align <= alignof(std::max_align_t)) {
    ring = std::calloc(1, size);
  } else if (posix_memalign(&ring, ops.align, size) == 0) {
    std::memset(ring, 0, size);
  }
  if (ring == nullptr) throw std::bad_alloc();
  return static_cast<unsigned char*>(ring);
}

task* finish(wait_node* n, bool ok) noexcept {
  n->owner->fired = n;
  n->owner->fired_ok = ok;
  return n->owner;
}

bool keeps_lists(const chan_core* c) noexcept { return c->ops->destroy_at != nullptr; }
std::uint32_t* order_of(const chan_core* c) noexcept {
  return reinterpret_cast<std::uint32_t*>(c->ring + lists_at(*c->ops, c->capacity));
}
std::uint32_t* free_slots_of(const chan_core* c) noexcept { return order_of(c) + c->capacity; }

std::uint32_t wrap(const chan_core* c, std::uint32_t i) noexcept { return i >= c->capacity ? i - c->capacity : i; }

// The i-th oldest element.
unsigned char* element(const chan_core* c, std::uint32_t i) noexcept {
  std::uint32_t at = wrap(c, c->head + i);
  if (keeps_lists(c)) at = order_of(c)[at];
  return c->ring + std::size_t{at} * c->ops->size;
}

// A free slot holds no words of what was in it: chan_core.h, 6.
void clear_slot(const chan_core* c, unsigned char* slot) noexcept {
  switch (c->ops->size) {  // without a call for what is usual
    case 0:
      return;
    case 4:
      std::memset(slot, 0, 4);
      return;
    case 8:
      std::memset(slot, 0, 8);
      return;
    case 16:
      std::memset(slot, 0, 16);
      return;
    default:
      std::memset(slot, 0, c->ops->size);
  }
}

// There is room.
void append(chan_core* c, void* value) noexcept {
  std::uint32_t at = wrap(c, c->head + c->count);
  if (keeps_lists(c)) {
    std::uint32_t slot = free_slots_of(c)[c->free_count - 1];
    c->free_count = c->free_count - 1;
    order_of(c)[at] = slot;
    at = slot;
  }
  c->ops->move(c->ring + std::size_t{at} * c->ops->size, value);
  c->count = c->count + 1;
}

// A waiting sender's value takes a slot that has become free.
task* admit_sender(chan_core* c) noexcept {
  wait_node* n = claim_first(c->sendq);
  if (n == nullptr) return nullptr;
  append(c, n->slot);
  return finish(n, true);
}

}  // namespace

[[gnu::used]] bool wait_on(chan_core* c, wait_queue& q, void* slot, bool sends) {
  task* self = runtime::current_task();
  wait_node* n = &self->node;
  n->owner = self;
  n->slot = slot;
  n->primitive = reinterpret_cast<std::uintptr_t>(c);
  n->index = 0;
  n->sends = sends;
  runtime::prepare_wait(self, sends ? runtime::wait_reason::chan_send : runtime::wait_reason::chan_receive, n, 1);
  q.push(n);
  c->lock.unlock();
  runtime::park(self);
  return self->fired_ok;
}

namespace {

// Blocks the calling task on one operation of c, which is locked. Returns fired_ok.
[[gnu::naked]] bool wait_on_clear_stack(chan_core*, wait_queue&, void*, bool) {
  STRAY_CLEAR_BELOW_AND_GO_TO(17, "_ZN5stray4sync7wait_onEPNS_6detail9chan_coreERNS0_10wait_queueEPvb");
}

}  // namespace

base::slab<chan_core>& cores() noexcept { return core_slab; }

bool has_room(const chan_core* c) noexcept { return keeps_lists(c) ? c->free_count > 0 : c->count < c->capacity; }

void panic_send_on_closed() { throw panic("send on closed channel"); }

progress send_locked(chan_core* c, void* value, task** wake) noexcept {
  if (c->closed) return progress::closed;
  if (wait_node* n = claim_first(c->recvq)) {
    c->ops->move(n->slot, value);
    *wake = finish(n, true);
    return progress::done;
  }
  if (has_room(c)) {
    append(c, value);
    return progress::done;
  }
  return progress::blocked;
}

progress recv_locked(chan_core* c, void* slot, task** wake, unsigned char** left) noexcept {
  if (c->count > 0) {
    unsigned char* first = element(c, 0);
    c->ops->move(slot, first);
    c->head = wrap(c, c->head + 1);
    c->count = c->count - 1;
    if (keeps_lists(c)) {
      *left = first;
    } else {
      clear_slot(c, first);
      *wake = admit_sender(c);
    }
    return progress::done;
  }
  if (wait_node* n = claim_first(c->sendq)) {
    c->ops->move(slot, n->slot);
    *wake = finish(n, true);
    return progress::done;
  }
  return c->closed ? progress::closed : progress::blocked;
}

void vacate(chan_core* c, unsigned char* left) noexcept {
  c->ops->destroy(left);
  clear_slot(c, left);
  c->lock.lock();
  free_slots_of(c)[c->free_count] = static_cast<std::uint32_t>(static_cast<std::size_t>(left - c->ring) / c->ops->size);
  c->free_count = c->free_count + 1;
  task* wake = admit_sender(c);
  c->lock.unlock();
  if (wake != nullptr) runtime::make_runnable(wake);
}

}  // namespace stray::sync

namespace stray::detail {

using runtime::make_runnable;
using runtime::task;
using runtime::wait_node;
using runtime::wait_reason;
using sync::progress;

[[gnu::noinline]] chan_core* chan_make(const element_ops& ops, std::size_t capacity) {
  runtime::ensure_started();
  if (capacity > std::numeric_limits<std::uint32_t>::max() / 2) throw panic("makechan: size out of range");
  unsigned char* ring = capacity != 0 && ops.size != 0 ? sync::make_ring(ops, capacity) : nullptr;
  chan_core* c = sync::cores().alloc();
  if (c == nullptr) {
    std::free(ring);
    throw std::bad_alloc();
  }
  c->closed = false;
  c->ops = &ops;
  c->capacity = static_cast<std::uint32_t>(capacity);
  c->head = 0;
  c->count = 0;
  c->free_count = 0;
  c->ring = ring;
  if (ops.destroy_at != nullptr) {
    while (c->free_count < c->capacity) {
      sync::free_slots_of(c)[c->free_count] = c->capacity - 1 - c->free_count;
      c->free_count = c->free_count + 1;
    }
  }
  c->recvq = c->sendq = {};
  c->made_at = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  c->refs.count.store(1, std::memory_order_relaxed);  // order: published by in_use
  c->in_use.store(true, std::memory_order_release);   // order: for the snapshot
  return c;
}

void core_destroy(chan_core* c) noexcept {
  for (std::uint32_t i = 0; i < c->count; i++) c->ops->destroy(sync::element(c, i));
  std::free(c->ring);
  c->ring = nullptr;
  c->in_use.store(false, std::memory_order_release);  // order: for the snapshot
  sync::cores().release(c);
}

void chan_send(chan_core* c, void* value) {
  if (c == nullptr) runtime::park_forever(wait_reason::chan_send_nil);
  c->lock.lock();
  task* wake = nullptr;
  progress p = sync::send_locked(c, value, &wake);
  if (p == progress::blocked) {
    if (sync::wait_on_clear_stack(c, c->sendq, value, true)) return;
    sync::panic_send_on_closed();
  }
  c->lock.unlock();
  if (wake != nullptr) make_runnable(wake);
  if (p == progress::closed) sync::panic_send_on_closed();
}

bool chan_try_send(chan_core* c, void* value) {
  if (c == nullptr) return false;
  c->lock.lock();
  task* wake = nullptr;
  progress p = sync::send_locked(c, value, &wake);
  c->lock.unlock();
  if (wake != nullptr) make_runnable(wake);
  if (p == progress::closed) sync::panic_send_on_closed();
  return p == progress::done;
}

bool chan_recv(chan_core* c, void* slot) {
  if (c == nullptr) runtime::park_forever(wait_reason::chan_receive_nil);
  c->lock.lock();
  task* wake = nullptr;
  unsigned char* left = nullptr;
  progress p = sync::recv_locked(c, slot, &wake, &left);
  if (p == progress::blocked) return sync::wait_on_clear_stack(c, c->recvq, slot, false);
  c->lock.unlock();
  if (wake != nullptr) make_runnable(wake);
  if (left != nullptr) sync::vacate(c, left);
  return p == progress::done;
}

chan_status chan_try_recv(chan_core* c, void* slot) noexcept {
  if (c == nullptr) return chan_status::would_block;
  c->lock.lock();
  task* wake = nullptr;
  unsigned char* left = nullptr;
  progress p = sync::recv_locked(c, slot, &wake, &left);
  c->lock.unlock();
  if (wake != nullptr) make_runnable(wake);
  if (left != nullptr) sync::vacate(c, left);
  return p == progress::done ? chan_status::ok : p == progress::closed ? chan_status::closed : chan_status::would_block;
}

// Every waiter is claimed while the lock is held; only then are they made runnable. (Taking the list first and changing states after
// unlocking, as Go does, leaves instructions at which a waiter looks abandoned: 3 of 41.)
void chan_close(chan_core* c) {
  if (c == nullptr) throw panic("close of nil channel");
  c->lock.lock();
  if (c->closed) {
    c->lock.unlock();
    throw panic("close of closed channel");
  }
  c->closed = true;
  task* woken = nullptr;
  task** last = &woken;
  for (sync::wait_queue* q : {&c->recvq, &c->sendq}) {
    while (wait_node* n = sync::claim_first(*q)) {
      task* t = sync::finish(n, false);
      t->next = nullptr;
      *last = t;
      last = &t->next;
    }
  }
  c->lock.unlock();
  while (woken != nullptr) {
    task* t = woken;
    woken = t->next;
    t->next = nullptr;
    make_runnable(t);
  }
}

std::size_t chan_len(const chan_core* c) noexcept {
  if (c == nullptr) return 0;
  auto* open = const_cast<chan_core*>(c);
  open->lock.lock();
  std::size_t n = c->count;
  open->lock.unlock();
  return n;
}

std::size_t chan_cap(const chan_core* c) noexcept { return c == nullptr ? 0 : c->capacity; }

}  // namespace stray::detail
