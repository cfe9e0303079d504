// Copies, while all threads are stopped, the words that the kernel keeps for the program and no memory shows: bytes in pipes and unix
// sockets, the data of epoll entries, the values of POSIX timers.
//
// 1. In the pause, and not before or after: a word may travel from memory into a pipe and out again within a microsecond; only while
//    every thread stands still is each word in one of the two places that are read.
// 2. Nothing is consumed, received or changed: a pipe is duplicated (tee) into one of our own and that one is read; sockets are peeked
//    without room for descriptors; SO_PEEK_OFF is put back to what it was.
// 3. Nothing that is asked reaches a file system or driver, which might wait for a stopped thread: no fstat, no poll on what may be a file.
// 4. At most 20 ms for descriptors, 20 for epoll entries, and 4 MiB. What lies beyond is blind, with a note.
// 5. A message may begin at any byte: readers of `saved_span` take every offset of pipes and sockets as the start of a word.
// 6. Other descriptors: written_files.h.
// 7. Under a seccomp filter the calls are first tried in a process of their own: a filter may kill. And it may answer with any error: so objects
//    of our own are asked first, and where they are not seen as what they are nothing is proven.
// Not seen: message queues, sockets that are not unix ones, descriptors on their way in a message (their pipes are in no table), a table of
// descriptors that a thread has to itself, what another process holds. ORPHAN is what remains there.
// Runs in the parent: look() before the stop, take() in the pause.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trace/bump.h"
#include "trace/doubts.h"
#include "trace/image.h"
#include "trace/written_files.h"

namespace stray::trace {

class kernel_words {
 public:
  void look(bump& memory) noexcept;
  // map: of the pause. What cannot be read of other kernel objects is a doubt.
  void take(bump& memory, const memory_map& map, unsigned off, list<saved_span>& out, note_log& notes,
            doubt_log& doubts) noexcept;
  unsigned blind() const noexcept { return blind_; }
  const written_files& written() const noexcept { return written_; }

 private:
  struct run;
  void drop() noexcept;
  int pipe_[2] = {-1, -1};  // our own: where other pipes are duplicated to
  char* room_ = nullptr;
  const char* why_not_ = nullptr;
  std::size_t open_ = 0;  // descriptors, before the stop
  unsigned blind_ = 0;
  written_files written_;
};

}  // namespace stray::trace
