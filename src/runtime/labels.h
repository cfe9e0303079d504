// Labels of goroutines: an immutable list that a goroutine shares with those it starts. The name of one (go_options) is its label "name",
// which those have not.
//
// 1. task::labels is written before the task is visible, and by its own task while that runs; others read it behind the inspecting bit.
// 2. Each pointer in a task, and in a label_scope (pprof.hpp), is one holder; the last one frees the list.
// 3. A list is one block without gaps, zeroed: the tracer reaches it, and what the block's last owner left there would keep leaks alive.
//    Rejected: a vector of pairs of strings, which leave up to 15 bytes of each short string as they were.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "runtime/task.h"

namespace stray::runtime {

struct label_list {
  std::atomic<std::uint32_t> holders;
  std::uint32_t count;
  label_list* handed_down;  // those without the goroutine's name, held by this list; nullptr: none
  bool named;               // else the list itself is handed down
  struct sizes {
    std::uint32_t key, value;
  } of[];  // `count` of them, then the text of all, in order

  // f(key, value), by key, each key once.
  template <class F>
  void each(F f) const {
    const char* at = reinterpret_cast<const char*>(of + count);
    for (std::uint32_t i = 0; i < count; at += of[i].key + of[i].value, i++)
      f(std::string_view(at, of[i].key), std::string_view(at + of[i].key, of[i].value));
  }
};

// For a goroutine that is started by one with these.
inline label_list* share_labels(label_list* l) noexcept {
  if (l != nullptr && l->named) l = l->handed_down;
  if (l != nullptr) l->holders.fetch_add(1, std::memory_order_relaxed);  // order: the sharer holds it
  return l;
}
// The same with a name; throws std::bad_alloc.
label_list* named_labels(const label_list* creators, std::string_view name);
void drop_labels(label_list* l) noexcept;  // nullptr: nothing

// Those of the calling task with `more` put over them; the caller's old list is returned, with its holder. Throws std::bad_alloc.
label_list* push_labels(std::span<const std::pair<std::string_view, std::string_view>> more);
// The reverse, by the same task.
void restore_labels(label_list* before) noexcept;

}  // namespace stray::runtime
