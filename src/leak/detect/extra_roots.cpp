#include "leak/detect/extra_roots.h"

#include <atomic>
#include <stdexcept>

#include <stray/leak.hpp>
#include "leak/model/findings.h"

namespace stray::leak {

namespace {

struct table {
  base::spin_lock lock;
  base::range ranges[max_extra_roots];
  unsigned used = 0;
};
constinit table roots;

}  // namespace

extra_root_list copy_extra_roots() noexcept {
  extra_root_list out;
  roots.lock.lock();
  for (unsigned i = 0; i < roots.used; i++) {
    if (roots.ranges[i].size() != 0) out.ranges[out.count++] = roots.ranges[i];
  }
  roots.lock.unlock();
  return out;
}

void free_extra_roots() noexcept { roots.lock.free_in_child(); }

root add_root(const void* p, std::size_t bytes) {
  auto lo = reinterpret_cast<std::uintptr_t>(p);
  roots.lock.lock();
  int slot = -1;
  for (unsigned i = 0; i < roots.used && slot < 0; i++) {
    if (roots.ranges[i].size() == 0) slot = static_cast<int>(i);
  }
  if (slot < 0 && roots.used < max_extra_roots) slot = static_cast<int>(roots.used++);
  if (slot >= 0) roots.ranges[slot] = {lo, lo + bytes};
  roots.lock.unlock();
  if (slot < 0) throw std::length_error("stray::leak::add_root: more than 4096 roots; end some, or give one larger range");
  return root(slot);
}

root::~root() {
  if (slot_ < 0) return;
  roots.lock.lock();
  roots.ranges[slot_] = {};
  roots.lock.unlock();
}

void pin::detach() noexcept {
  if (held_ == nullptr) return;
  static constinit std::atomic<held*> detached{nullptr};  // where the tracer looks
  held* mine = held_.release();
  mine->next = detached.load();
  while (!detached.compare_exchange_weak(mine->next, mine)) {
  }
}

}  // namespace stray::leak
