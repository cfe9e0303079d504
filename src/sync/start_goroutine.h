// Goroutines that the library starts on behalf of a user's earlier call: by timers and cancellations, which cannot fail.
#pragma once

#include <new>
#include <utility>

#include <stray/go.hpp>
#include "base/check.h"
#include "runtime/task.h"

namespace stray::sync {

// created_by, creator_id: of the call in question, for reports. Allocates nothing but the record; without memory for that the process ends, as
// Go's does.
template <class C>
void start_goroutine(C closure, std::uintptr_t created_by, std::uint64_t creator_id) noexcept {
  static_assert(detail::is_small<C>);
  detail::spawn_slot slot{};
  try {
    slot = detail::spawn_begin(detail::closure_ops_of<C>, {});
  } catch (const std::bad_alloc&) {
    base::fatal("out of memory for goroutines");
  }
  auto* t = static_cast<runtime::task*>(slot.record);
  t->set_creator(created_by, creator_id);
  ::new (slot.storage) C(std::move(closure));
  detail::spawn_commit(slot);
}

}  // namespace stray::sync
