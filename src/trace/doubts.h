// Places that may hold pointers and cannot be read: kernel objects in use, pages of files that are not in memory.
//
// 1. A hidden pointer to a block that nothing is seen to refer to is ORPHAN's matter. What remains is one to a waiter's own frame or blocks: while
//    there is a doubt, who would wake if those were live is at best likely, and the doubt is named (classify.h 6).
// 2. A range of a doubt is memory: a primitive that lies in it may be used by whoever can reach that memory.
// 3. More of them than there is room for: nothing is proven.
// In memory shared by parent and child; written by the parent in the pause.
#pragma once

#include "trace/image_types.h"

namespace stray::trace {

struct doubt {
  std::uintptr_t lo, hi;  // equal: no memory of the process
  char line[120];
};

struct doubt_log {
  static constexpr std::uint32_t room = 48;
  std::uint32_t used;
  bool full;
  doubt list[room];

  text add(std::uintptr_t lo = 0, std::uintptr_t hi = 0) noexcept {
    if (used == room) {
      full = true;
      return {nullptr, 0};
    }
    doubt& d = list[used++];
    d.lo = lo;
    d.hi = hi;
    return {d.line, sizeof d.line};
  }
};

}  // namespace stray::trace
