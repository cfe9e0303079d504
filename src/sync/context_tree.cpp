#include "sync/context_tree.h"

#include <algorithm>
#include <memory>
#include <new>

#include "sync/chan_core.h"
#include "sync/start_goroutine.h"

namespace stray::sync {

using detail::stop_bridge;
using detail::stop_node;

namespace {

cancel_view* view_of(const context_control* c) noexcept { return unmasked<cancel_view>(c->view); }

// --- lifetime -----------------------------------------------------------------------------------------------------------------------

// For masked links, whose target may be on its way out; its memory is there as long as the lock of the link is held.
bool try_hold(context_control* c) noexcept {
  if (c == nullptr) return false;
  std::uint32_t n = c->refs.load(std::memory_order_relaxed);  // order: the CAS decides
  while (n != 0 && !c->refs.compare_exchange_weak(n, n + 1)) {
  }
  return n != 0;
}

// Without recursion: a chain of contexts may be longer than a stack.
void destroy(context_control* first) noexcept {
  first->up = nullptr;
  for (context_control* todo = first; todo != nullptr;) {
    context_control* c = todo;
    todo = c->up;
    for (std::uint32_t i = 0; i < c->count; i++) {
      context_control* child = c->children[i];
      child->lock.lock();
      child->parent = 0;
      child->lock.unlock();
      if (child->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) continue;  // order: as release
      child->up = todo;
      todo = child;
    }
    ::operator delete(c->children);
    cancel_view* v = view_of(c);
    v->lock.lock();
    v->control = 0;
    v->lock.unlock();
    delete c->stop;
    delete c;
    release_weak(v);
  }
}

}  // namespace

void release_weak(cancel_view* v) noexcept {
  if (v->weak.fetch_sub(1, std::memory_order_acq_rel) == 1) delete v;  // order: the last one sees all that was done
}
void delete_bridge(stop_bridge* b) noexcept {
  if (b == nullptr) return;
  context_control* c = b->control;
  delete b;  // waits for a callback that is running in another thread
  release(c);
}
void release(context_control* c) noexcept {
  if (c->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(c);  // order: the last one sees all that was done
}

context_control* control_of(cancel_view* v) noexcept {
  if (v == nullptr) return nullptr;
  v->lock.lock();
  context_control* c = unmasked<context_control>(v->control);
  if (!try_hold(c)) c = nullptr;
  v->lock.unlock();
  return c;
}

namespace {

context_control* parent_of(context_control* c) noexcept {
  c->lock.lock();
  context_control* p = unmasked<context_control>(c->parent);
  if (!try_hold(p)) p = nullptr;
  c->lock.unlock();
  return p;
}

// A child that is in its parent's list no more: the caller has the list's reference.
void leave(context_control* c) noexcept {
  c->lock.lock();
  c->parent = 0;
  c->lock.unlock();
  release(c);
}

// --- the list of children -----------------------------------------------------------------------------------------------------------

// p is locked.
void unlink_locked(context_control* p, context_control* c) noexcept {
  context_control* last = p->children[p->count - 1];
  p->children[c->index] = last;
  last->index = c->index;
  p->children[--p->count] = nullptr;  // no stale word that leads to what takes its memory next
}
// Takes c out of its parent's list, unless the parent is being cancelled: then the list is another's.
void detach(context_control* c) noexcept {
  context_control* p = parent_of(c);
  if (p == nullptr) return;
  bool was_in = false;
  p->lock.lock();
  if (p->err == 0 && c->index < p->count && p->children[c->index] == c) {
    unlink_locked(p, c);
    was_in = true;
  }
  p->lock.unlock();
  if (was_in) leave(c);
  release(p);
}

// Whether c can make no difference any more (invariant 6). Once true it stays true. count and stop are read without the lock: who could
// change them holds the view, or is a child.
bool useless(const context_control* c) noexcept {
  return c->cancels.load() == 0 && view_of(c)->handles.load() == 0 &&
         reinterpret_cast<const detail::core_refs*>(c->done.core())->count.load() == 1;
}

}  // namespace

void drop_if_useless(context_control* first) noexcept {
  context_control* c = first;
  hold(c);
  while (c != nullptr && useless(c)) {
    c->lock.lock();
    bool idle = c->err == 0 && c->count == 0 && c->stop == nullptr;
    stop_bridge* bridge = idle ? std::exchange(c->bridge, nullptr) : nullptr;
    bool disarmed = idle && runtime::stop_callback(&c->deadline) == runtime::stopped::removed;
    c->lock.unlock();
    if (!idle) break;
    delete_bridge(bridge);
    if (disarmed) release(c);
    context_control* p = parent_of(c);
    detach(c);
    release(c);
    c = p;  // it may have been kept by this child only
  }
  if (c != nullptr) release(c);
}

namespace {

// Drops what only a done() held (invariant 6). p is locked, and is so on return; on the way it is not.
void sweep(context_control* p) noexcept {
  constexpr std::uint32_t few = 64;
  for (std::uint32_t i = p->count; i > 0 && p->err == 0;) {  // downwards: what takes a place that is left has been looked at
    context_control* gone[few];
    std::uint32_t n = 0;
    for (; i > 0 && n < few; i--) {
      if (useless(p->children[i - 1])) hold(gone[n++] = p->children[i - 1]);
    }
    if (n == 0) return;
    p->lock.unlock();
    for (std::uint32_t k = 0; k < n; k++) {
      drop_if_useless(gone[k]);
      release(gone[k]);
    }
    p->lock.lock();
    if (p->err == 0) i = std::min(i, p->count);
  }
}

// Room for one more child of p, which is locked, and is so on return; on the way it is not. false: out of memory.
bool make_room(context_control* p) noexcept {
  if (p->err != 0 || p->count < p->room) return true;
  sweep(p);
  while (p->err == 0 && (p->room == 0 || p->count > p->room / 2)) {  // too little came free to be worth the next sweep
    std::uint32_t room = p->room == 0 ? 4 : p->room * 2;
    p->lock.unlock();
    void* block = ::operator new(room * sizeof(context_control*), std::nothrow);
    p->lock.lock();
    if (block == nullptr) return p->count < p->room;
    if (p->err == 0 && p->room < room) {
      auto** list = static_cast<context_control**>(block);
      std::fill(std::copy(p->children, p->children + p->count, list), list + room, nullptr);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // complete before it is the list, for the snapshot
      block = std::exchange(p->children, list);
      p->room = room;
    }
    p->lock.unlock();
    ::operator delete(block);
    p->lock.lock();
    if (p->count < p->room) break;
  }
  return true;
}

}  // namespace

context_errc add_child(context_control* p, context_control* child) {
  p->lock.lock();
  bool room = make_room(p);
  auto why = static_cast<context_errc>(p->err);
  if (room && p->err == 0) {
    hold(child);
    child->lock.lock();  // nobody else knows it yet: never contended
    child->parent = masked(p);
    child->lock.unlock();
    child->index = p->count;
    p->children[p->count++] = child;
  }
  p->lock.unlock();
  if (!room) throw std::bad_alloc();
  return why;
}

// --- cancelling ---------------------------------------------------------------------------------------------------------------------

namespace {

// c alone. false: it has been cancelled before. Its stop_node goes to the list of `first`.
bool cancel_one(context_control* c, std::uint8_t code, context_control* first) noexcept {
  c->lock.lock();
  if (c->err != 0) {
    c->lock.unlock();
    return false;
  }
  c->err = code;
  stop_bridge* bridge = std::exchange(c->bridge, nullptr);
  if (c != first && c->stop != nullptr) {
    c->stop->next = first->stop;
    first->stop = c->stop;
    std::atomic_signal_fence(std::memory_order_seq_cst);  // there before it is gone here, for the snapshot
    c->stop = nullptr;
  }
  c->lock.unlock();
  cancel_view* v = view_of(c);
  v->state.store(code | cancel_view::closing);
  detail::chan_close(c->done.core());
  v->state.store(code);
  if (runtime::stop_callback(&c->deadline) == runtime::stopped::removed) release(c);
  delete_bridge(bridge);
  return true;
}

void request_stops(stop_node* list) noexcept {
  while (list != nullptr) {
    std::unique_ptr<stop_node> n(list);
    list = n->next;
    n->source.request_stop();  // runs callbacks of users
  }
}
struct stop_requests {  // on a goroutine
  stop_node* list;
  explicit stop_requests(stop_node* adopt) noexcept : list(adopt) {}
  stop_requests(stop_requests&& other) noexcept : list(std::exchange(other.list, nullptr)) {}
  void operator()() { request_stops(std::exchange(list, nullptr)); }
};

}  // namespace

void cancel_tree(context_control* first, context_errc why, bool here) noexcept {
  auto code = static_cast<std::uint8_t>(why);
  if (!cancel_one(first, code, first)) return;
  first->up = nullptr;
  for (context_control* c = first; c != nullptr;) {
    if (c->cursor < c->count) {
      context_control* child = c->children[c->cursor++];
      if (!cancel_one(child, code, first)) continue;
      child->up = c;
      c = child;
      continue;
    }
    context_control* up = std::exchange(c->up, nullptr);
    for (std::uint32_t i = 0; i < c->count; i++) leave(c->children[i]);
    c->count = 0;
    ::operator delete(std::exchange(c->children, nullptr));
    c = up;
  }
  detach(first);
  stop_node* stops = first->stop;
  if (stops != nullptr && here) {
    first->stop = nullptr;
    request_stops(stops);
  } else if (stops != nullptr) {
    sync::start_goroutine(stop_requests(stops), first->made_at, first->maker);
    first->stop = nullptr;
  }
}

}  // namespace stray::sync
