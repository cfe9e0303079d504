// Memory for one detection: the log that parent and child share, and what classification works in.
#pragma once

#include <cstddef>

#include "base/address_space.h"
#include "leak/classify/path.h"
#include "leak/model/verdict.h"
#include "trace/bump.h"

namespace stray::leak {

// Taken back at its end. One at a time.
class work_memory {
 public:
  explicit work_memory(std::size_t tasks);  // room for a verdict of each
  ~work_memory();
  work_memory(const work_memory&) = delete;
  work_memory& operator=(const work_memory&) = delete;

  bool is_complete() const noexcept { return log != nullptr && bump.where().size() != 0; }
  base::range log_range() const noexcept {
    auto lo = reinterpret_cast<std::uintptr_t>(path);
    return {lo, lo + size_};
  }

  path_log* path = nullptr;
  verdict_log* log = nullptr;
  trace::bump bump;

 private:
  std::size_t size_ = 0;
};

// In the child of a fork: that of the parent's detection, which nobody takes back there.
void free_parents_work_memory() noexcept;

}  // namespace stray::leak
