// The record of who runs here, as far as the fast paths of locks that stand in headers need it.
#pragma once

#include <atomic>
#include <cstdint>

#pragma GCC visibility push(default)

namespace stray::detail {

// Its beginning (src/runtime/task.h).
struct own_record {
  void* link;
  std::uint64_t owner_word;  // what a lock has in its word while this goroutine or thread holds it
  std::atomic<std::uint64_t>
      hold;  // 0, or {address:48, holds:16} of a shared lock that it holds for reading (src/runtime/read_holds.h)
};

// nullptr: a thread that has no record yet. Read through assembly, never through a thread_local expression: src/runtime/current.h.
[[gnu::always_inline]] inline own_record* own_record_or_null() noexcept {
  own_record* record;
  asm volatile("movq stray_tls_task@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(record));
  return record;
}

}  // namespace stray::detail

#pragma GCC visibility pop
