// Who can end a wait of each reason, and how sentences about it differ: the last column of runtime/wait_reasons.inc.
#pragma once

#include <cstddef>

#include "leak/model/wait_graph.h"
#include "runtime/task.h"

namespace stray::leak {

constexpr live_rule rule_of(runtime::wait_reason r) noexcept {
  constexpr live_rule table[] = {
#define REASON(name, text, eligible, rule) live_rule::rule,
#include "runtime/wait_reasons.inc"
#undef REASON
  };
  return table[static_cast<std::size_t>(r)];
}

constexpr wait_kind kind_of(runtime::wait_reason r) noexcept {
  using runtime::wait_reason;
  switch (r) {
    case wait_reason::chan_send:
      return wait_kind::send;
    case wait_reason::wait_group_wait:
      return wait_kind::all_of_them;
    case wait_reason::mutex_lock:
      return wait_kind::lock;
    case wait_reason::rwmutex_rlock:
    case wait_reason::rwmutex_lock:
      return wait_kind::shared_lock;
    case wait_reason::once_do:
      return wait_kind::once;
    default:
      return wait_kind::other;
  }
}

}  // namespace stray::leak
