// Copies, while all threads are stopped, what the snapshot's child would not see as it was: MAP_SHARED memory (not frozen by clone),
// MADV_DONTFORK memory (not in the child), MADV_WIPEONFORK memory (zero in the child), and what the kernel holds (kernel_words.h).
//
// 1. Shared memory and pages of files are what they are whether our page table has them or not: others write them, through mappings and
//    descriptors of their own, and the kernel takes pages back. So what the page cache has (mincore) is read, too. A page of a file that is on
//    disk only is a doubt (doubts.h): reading it might have to wait for a thread that we have stopped (FUSE).
// 2. Of a mapping that cannot be written, and of a private mapping of a file that has no private page there, the file's bytes count if the
//    program may have written them (written_files.h, memory, deleted), or if they are few (4 MiB in all). A module's are its own, wherever else it is mapped.
// 3. All is read through /proc/self/mem: past the end of a truncated file it answers an error, not SIGBUS.
// 4. Device mappings (VM_IO, VM_PFNMAP) are never touched.
// 5. At most 20 ms; what is not read by then is blind, with a note.
// Runs in the parent: look() before the stop, take() in the pause; the child reads the answers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trace/bump.h"
#include "trace/image.h"
#include "trace/kernel_words.h"
#include "trace/time_budget.h"

namespace stray::trace {

class pause_copy {
 public:
  // Reads the VmFlags of all mappings (11 ms a GB, hence before the stop). False when smaps cannot be read: then flags are unknown.
  bool look(bump& memory, note_log& notes) noexcept;
  // `skip`: ranges never read. The map of the pause is kept, for the child to compare its own with.
  bool take(bump& memory, slice<const range> skip, unsigned off, note_log& notes, doubt_log& doubts) noexcept;

  struct flagged {
    std::uintptr_t lo, hi;
    bool dontfork, wipeonfork, device, never_written;  // never_written: a shared mapping of a file opened for reading
  };
  slice<saved_span> saved() const noexcept { return {saved_.begin(), saved_.size()}; }
  slice<flagged> flags() const noexcept { return {flags_.begin(), flags_.size()}; }
  // Inline: the child asks, too, and nothing else of this file's code is its business.
  const flagged* flags_of(std::uintptr_t address) const noexcept {
    std::size_t lo = 0, hi = flags_.size();
    while (lo < hi) {
      std::size_t mid = (lo + hi) / 2;
      if (flags_[mid].hi <= address) {
        lo = mid + 1;
      } else {
        hi = mid;
      }
    }
    return lo < flags_.size() && flags_[lo].lo <= address ? &flags_[lo] : nullptr;
  }
  const memory_map& map() const noexcept { return map_; }
  unsigned blind() const noexcept { return blind_ + kernel_.blind(); }

 private:
  struct job;
  bool is_module(const mapping& of) const noexcept;  // code of its file is mapped beside it
  bool is_of_module(
      const mapping& of) const noexcept;  // code of its file is mapped anywhere: libdw maps modules once more, to read them
  memory_map map_;
  page_scan pages_;
  list<flagged> flags_;
  list<saved_span> saved_;
  kernel_words kernel_;
  int mem_ = -1;
  unsigned blind_ = 0;
};

}  // namespace stray::trace
