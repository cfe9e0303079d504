#include "sync/parking_table.h"

#include <atomic>

#include "base/address_space.h"
#include "base/check.h"
#include "base/sync_shim.h"
#include "runtime/park.h"

namespace stray::sync {

namespace {

constexpr unsigned bucket_bits = base::capacity(12);
std::atomic<parking_bucket*> table{nullptr};
base::spin_lock making;

parking_bucket* make_table() noexcept {
  making.lock();
  parking_bucket* t = table.load();
  if (t == nullptr) {
    base::range where = base::carve(base::page_up(sizeof(parking_bucket) << bucket_bits));
    if (!base::commit(where.lo, where.size())) base::fatal("out of memory at start");
    t = reinterpret_cast<parking_bucket*>(where.lo);  // zero is an empty bucket
    table.store(t);
  }
  making.unlock();
  return t;
}

// The link that points to the first node of this address, or to where it would be appended.
wait_node** lead_link(parking_bucket* b, std::uintptr_t primitive) noexcept {
  wait_node** link = &b->leads;
  while (*link != nullptr && (*link)->primitive != primitive) link = &(*link)->lead_next;
  return link;
}

}  // namespace

void forget_waiters() noexcept {
  making.free_in_child();
  parking_bucket* t = table.load();
  for (std::size_t i = 0; t != nullptr && i < std::size_t{1} << bucket_bits; i++) {
    if (t[i].leads != nullptr) t[i].leads = nullptr;
    t[i].lock.free_in_child();
  }
}

parking_bucket& bucket_of(const void* primitive) noexcept {
  parking_bucket* t = table.load(std::memory_order_acquire);  // order: pairs with make_table's store
  if (__builtin_expect(t == nullptr, false)) t = make_table();
  auto key = reinterpret_cast<std::uintptr_t>(primitive) >> 3;
  return t[key * 0x9e37'79b9'7f4a'7c15ull >> (64 - bucket_bits)];
}

wait_node* parking_bucket::first(std::uintptr_t primitive) const noexcept {
  return *lead_link(const_cast<parking_bucket*>(this), primitive);
}

void parking_bucket::push_back(wait_node* n) noexcept {
  wait_node** link = lead_link(this, n->primitive);
  wait_node* lead = *link;
  n->next = n->prev = n->lead_next = nullptr;
  n->tail = nullptr;
  n->linked = true;
  if (lead == nullptr) {
    n->tail = n;
    *link = n;
  } else {
    n->prev = lead->tail;
    lead->tail->next = n;
    lead->tail = n;
  }
}

void parking_bucket::push_front(wait_node* n) noexcept {
  wait_node** link = lead_link(this, n->primitive);
  wait_node* lead = *link;
  if (lead == nullptr) return push_back(n);
  n->prev = nullptr;
  n->next = lead;
  n->lead_next = lead->lead_next;
  n->tail = lead->tail;
  n->linked = true;
  lead->prev = n;
  lead->lead_next = nullptr;
  lead->tail = nullptr;
  *link = n;
}

void parking_bucket::remove(wait_node* n) noexcept {
  if (n->prev == nullptr) {  // the lead
    wait_node** link = lead_link(this, n->primitive);
    wait_node* second = n->next;
    if (second == nullptr) {
      *link = n->lead_next;
    } else {
      second->prev = nullptr;
      second->lead_next = n->lead_next;
      second->tail = n->tail;
      *link = second;
    }
  } else {
    n->prev->next = n->next;
    if (n->next != nullptr) {
      n->next->prev = n->prev;
    } else {
      first(n->primitive)->tail = n->prev;
    }
  }
  n->linked = false;
}

wait_node* claimed_list::claim_first(parking_bucket& bucket, std::uintptr_t primitive) noexcept {
  while (wait_node* n = bucket.first(primitive)) {
    bool mine = runtime::try_claim(n->owner);
    bucket.remove(n);
    if (!mine) continue;  // it timed out
    n->owner->fired = n;
    n->owner->fired_ok = true;
    add(n->owner);
    return n;
  }
  return nullptr;
}

void claimed_list::claim_all(parking_bucket& bucket, std::uintptr_t primitive) noexcept {
  while (claim_first(bucket, primitive) != nullptr) {
  }
}

void claimed_list::make_runnable() noexcept {
  while (first_ != nullptr) {
    runtime::task* t = first_;
    first_ = t->next;
    t->next = nullptr;
    runtime::make_runnable(t);
  }
}

}  // namespace stray::sync
