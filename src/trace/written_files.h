// Files that the program may have written pointers into, as its descriptors tell, and other kernel objects that hold words of it and show none.
//
// 1. In the pause, as kernel_words. Nothing that is asked reaches a file system: the names of links and fdinfo are the kernel's own.
// 2. A memfd is memory: what it holds is read (and kept as kernel words), unless it is too large; then it is a doubt. A deleted file that is
//    open for writing, a used io_uring, a message queue with messages and an open pseudoterminal master are doubts.
// 3. At most 10 ms for all of them (some 2,000 files open for writing); what comes behind is one more doubt.
// 4. Of a named file only its number (inode) is kept: its mappings here count as written (pause_copy.h). What is written to it and read back
//    is not seen: guarantees.md, Open.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trace/bump.h"
#include "trace/doubts.h"
#include "trace/memory_map.h"

namespace stray::trace {

class written_files {
 public:
  void clear() noexcept;
  enum class verdict : std::uint8_t { nothing, read_it };
  // A descriptor that is neither pipe, socket nor epoll. read_it: a memfd of `bytes` whose contents are to be read.
  verdict look(int fd, const memory_map& map, bump& memory, char* buffer, std::size_t room, doubt_log& doubts,
               std::size_t& bytes) noexcept;
  void too_large(int fd, doubt_log& doubts) noexcept;
  void too_many(doubt_log& doubts) noexcept;  // not all were looked at
  // Objects that are known by their mappings only.
  void look_at_mappings(const memory_map& map, doubt_log& doubts) noexcept;
  bool holds(std::uint64_t inode) const noexcept;

 private:
  void uring(int fd, char* buffer, std::size_t room, doubt_log& doubts) noexcept;
  list<std::uint64_t> inodes_;
  bool all_ = false;  // numbers cannot be told: any file counts
  bool uring_seen_ = false;
};

}  // namespace stray::trace
