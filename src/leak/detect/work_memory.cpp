#include "leak/detect/work_memory.h"

#include <sys/mman.h>

namespace stray::leak {

namespace {

// Of the detection under way. The complement, since bounds of ours may be others' blocks.
struct {
  std::uintptr_t not_lo;
  std::size_t bytes;
} at_work[2];

}  // namespace

work_memory::work_memory(std::size_t tasks) {
  size_ = base::page_up(sizeof(path_log) + sizeof(verdict_log) + (tasks + 1) * sizeof(verdict));
  void* at = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at != MAP_FAILED) {
    path = static_cast<path_log*>(at);
    log = reinterpret_cast<verdict_log*>(path + 1);
    log->room = tasks + 1;
  }
  bump.reserve(std::size_t{64} << 30);
  at_work[0] = {~log_range().lo, log_range().size()};
  at_work[1] = {~bump.where().lo, bump.where().size()};
}

work_memory::~work_memory() {
  for (auto& m : at_work) m = {};
  if (path != nullptr) munmap(path, size_);
  if (bump.where().size() != 0) munmap(reinterpret_cast<void*>(bump.where().lo), bump.where().size());
}

void free_parents_work_memory() noexcept {
  for (auto& m : at_work) {
    if (m.bytes != 0) munmap(reinterpret_cast<void*>(~m.not_lo), m.bytes);
    m = {};
  }
}

}  // namespace stray::leak
