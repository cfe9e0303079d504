// Labels of goroutines: an immutable list that a goroutine shares with those it starts.
//
// 1. task::labels is written before the task is visible, and by its own task while that runs; others read it behind the inspecting bit.
// 2. Each pointer in a task, and in a label_scope (pprof.hpp), is one holder; the last one frees the list.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/task.h"

namespace stray::runtime {

struct label_list {
  std::atomic<std::uint32_t> holders{1};
  std::vector<std::pair<std::string, std::string>> pairs;  // by key, each key once
};

inline label_list* share_labels(label_list* l) noexcept {
  if (l != nullptr) l->holders.fetch_add(1, std::memory_order_relaxed);  // order: the sharer holds it
  return l;
}
void drop_labels(label_list* l) noexcept;  // nullptr: nothing

// Those of the calling task with `more` put over them; the caller's old list is returned, with its holder. Throws std::bad_alloc.
label_list* push_labels(std::span<const std::pair<std::string_view, std::string_view>> more);
// The reverse, by the same task.
void restore_labels(label_list* before) noexcept;

}  // namespace stray::runtime
