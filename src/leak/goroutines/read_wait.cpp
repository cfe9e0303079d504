// A wait, read in this process behind the inspecting bit: the task cannot run away meanwhile.
#include <algorithm>

#include "base/clock.h"
#include "leak/goroutines/read_wait.h"
#include "leak/goroutines/stacks.h"
#include "leak/goroutines/wait_rules.h"
#include "runtime/park.h"
#include "sync/chan_core.h"
#include "sync/owner.h"

namespace stray::leak {

std::optional<finding> describe_wait(runtime::task& t, wait_id w, thread_stacks& threads, bool listed) {
  if (!runtime::await_inspection(&t, w)) return std::nullopt;
  finding f;
  f.wait = w;
  f.thread = t.is_thread;
  f.id = t.is_thread ? static_cast<std::uint64_t>(t.tid) : t.id;
  f.waits = runtime::text_of(t.reason);
  f.kind = kind_of(t.reason);
  f.since_ns = t.wait_since_ns;
  f.age_ns = std::max<std::int64_t>(0, base::now_ns() - f.since_ns);
  f.creator_id = t.creator_id;
  static_assert(std::tuple_size_v<creator_chain> == 1 + runtime::task::most_callers);
  f.creators = {t.created_by, t.callers[0], t.callers[1]};
  f.pcs = read_stack(t, threads);
  f.labels = read_labels(t);
  constexpr std::uintptr_t in_page = base::page_size - 1;
  if (!t.is_thread) f.bytes = ((t.stack_hi + in_page) & ~in_page) - (t.sp & ~in_page);
  const live_rule rule = rule_of(t.reason);
  for (std::uint32_t i = 0; rule == live_rule::handle && i < t.node_count; i++) {
    if (t.nodes[i].primitive == 0) continue;  // a nil channel of a select
    std::uintptr_t at = reinterpret_cast<const detail::chan_core*>(t.nodes[i].primitive)->made_at;
    if (f.made_at == 0) {
      f.made_at = at;
    } else if (at != 0 && at != f.made_at && std::find(f.made_at_too.begin(), f.made_at_too.end(), at) == f.made_at_too.end()) {
      f.made_at_too.push_back(at);
    }
  }
  if (rule != live_rule::handle && t.node_count == 1) {
    std::uintptr_t queue = rule == live_rule::readers ? sync::shared_word::offset : 0;  // the writers' own
    f.masked_primitive = ~(t.nodes[0].primitive - queue);
  }
  if (listed) runtime::mark_listed(&t, w);
  runtime::end_inspection(&t);
  return f;
}

}  // namespace stray::leak
