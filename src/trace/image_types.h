// Plain types that travel between the parent, the snapshot's child and the client. No code beyond one-liners.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ucontext.h>

#include "trace/client.h"
#include "trace/text.h"

namespace stray::trace {

template <class T>
struct slice {  // pointer and length over memory of somebody else
  T* data = nullptr;
  std::size_t size = 0;
  T* begin() const noexcept { return data; }
  T* end() const noexcept { return data + size; }
  T& operator[](std::size_t i) const noexcept { return data[i]; }
};

// A word at any byte.
inline std::uint64_t load_any(std::uintptr_t at) noexcept {
  struct [[gnu::packed, gnu::may_alias]] anywhere {
    std::uint64_t word;
  };
  return reinterpret_cast<const anywhere*>(at)->word;
}

// Made by stop.cpp in the parent, before the clone.
struct stopped_thread {
  int tid;
  bool stopped;               // its handler answered: context, fs_base, sp, pc are valid
  bool skipped;               // the request's `skip` said so: it runs on, and is never scanned
  bool looked;                // left undisturbed: no registers; sp and pc are valid if it was `asleep`
  bool asleep;                // looked at and off the processor, inside the kernel
  bool in_syscall;            // at or just behind a `syscall` instruction of libc: callee-saved registers only
  const ucontext_t* context;  // in the thread's own signal frame
  std::uintptr_t fs_base, gs_base;
  std::uintptr_t sp, pc;
  char name[16];

  // sp is valid, and what lies there may be the program's.
  bool stands_somewhere() const noexcept { return !skipped && (stopped || (looked && asleep)); }
};

struct note {  // one line of the report: what was not understood and became a root, or was refused
  char line[160];
};

// Notes lie in memory shared by parent and child. One writer at a time: the parent until the clone, then the child.
struct note_log {
  static constexpr std::size_t room = 100;
  std::uint32_t used;
  std::uint32_t dropped;
  note notes[room];

  text add() noexcept {
    if (used == room) {
      dropped++;
      return {nullptr, 0};
    }
    return {notes[used++].line, sizeof(note)};
  }
};

// Which part of the roots a span belongs to. Each can be switched off by its bit in `request::off`: for ablation tests only.
enum class root : std::uint8_t {
  registers,         // general registers of stopped threads
  vector_registers,  // xmm, ymm, zmm: the xsave area of the signal frame
  red_zone,          // 128 bytes below sp
  stacks,            // from sp up
  tls,               // TLS and TCB of threads (the main thread's lies in an anonymous mapping)
  data,              // private pages of files: .data, .bss of modules
  anonymous,         // private anonymous mappings
  shared,            // MAP_SHARED, copied in the pause
  dontfork,          // MADV_DONTFORK, copied in the pause
  wipeonfork,        // MADV_WIPEONFORK, copied in the pause
  pipes,             // bytes in pipes, copied in the pause
  sockets,           // bytes in unix sockets, copied in the pause
  epoll,             // data words of epoll entries
  posix_timers,      // sigev_value of POSIX timers
  heap_pages,        // pages of a heap that could not be walked
  ambiguous,         // words in frames of a thread that sleeps in a system call
  orphans,           // in-use blocks that nothing reaches
  unaligned,         // words at no multiple of 8 bytes, and addresses in two halves
  out_of_sight,      // places that may hold pointers and cannot be read: a verdict is likely because of them
  files,             // pages of files that no private page replaces, and memfds, copied in the pause
  left_frames,       // below sp, where frames do not lead to the outermost one of their stack
  inherited,         // stacks of the client's that a fork has left in the child
  saved_contexts,    // below sp, from where setjmp or getcontext may return to
};
constexpr unsigned bit(root r) noexcept { return 1u << static_cast<unsigned>(r); }

// A stretch of words that the marker reads.
struct root_span {
  enum class strength : std::uint8_t {
    strong,
    ambiguous,  // words into blocks count only in mark_ambiguous; words into client.interest as in strong
    parked,     // belongs to the node of a thread that is blocked in a primitive: located, but marked only by push_thread
  };
  std::uintptr_t lo, hi;  // the addresses the words had in the process
  std::uintptr_t bytes;   // where they can be read: lo, or a copy made in the pause
  root what;
  strength how;
  origin from;
  int tid;             // whose, 0: nobody's
  bool again = false;  // its words are met elsewhere, too (a heap block, the client's spans): not to be located a second time
};

}  // namespace stray::trace
