// One slot for each thread of a stop, keyed by thread id: the table of states is in stop.h. Written by the caller of a stop and, each its
// own slot, by the handlers of stopped threads; open addressing, a slot once found stays where it is until the table is cleared.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ucontext.h>

#include "trace/task_list.h"

namespace stray::trace {

enum slot_state : std::uint8_t { none, listed, asked, stopped, left, held_back, given_up, gone, skipped, looked, kernel };
enum class hindrance : std::uint8_t { blocks, sigwait, silent, refused, spared };  // why the signal does not stop it

struct slot {
  std::atomic<std::uint64_t> word;  // epoch << 8 | state: a late handler cannot answer for a later stop
  std::atomic<int> tid;             // 0: free
  const ucontext_t* context;
  std::uintptr_t fs_base, gs_base;
  std::int64_t asked_ns;
  task_sleep sleep;
  bool blocked, only_asleep;
  bool spare;  // slept in a call of somebody else's before the stop: rather by ptrace
  awaits in_sigwait;
  hindrance why;
  char name[16];

  slot_state state() const noexcept { return static_cast<slot_state>(word.load() & 255); }
  void set(slot_state next, std::uint32_t epoch = 0) noexcept { word.store(std::uint64_t{epoch} << 8 | next); }
  // By one CAS; false when somebody else was quicker.
  bool move(slot_state from, slot_state to) noexcept {
    std::uint64_t now = word.load();
    return (now & 255) == from && word.compare_exchange_strong(now, (now & ~std::uint64_t{255}) | to);
  }
};

struct table {
  std::size_t room;  // power of two
  slot slots[1];
};

inline std::size_t spread(int tid) noexcept { return static_cast<std::uint32_t>(tid) * std::size_t{2654435761u} >> 8; }

inline slot* find_slot(table* t, int tid) noexcept {
  for (std::size_t i = spread(tid), n = 0; n < t->room; i++, n++) {
    slot& x = t->slots[i & (t->room - 1)];
    int here = x.tid.load();
    if (here == tid) return &x;
    if (here == 0) return nullptr;
  }
  return nullptr;
}

}  // namespace stray::trace
