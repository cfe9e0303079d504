// What the tracer asks of its client. The tracer knows threads, mappings, heap blocks, spans and words. Goroutines and channels are the
// client's; they reach the tracer only through this table.
//
// 1. All functions run in the snapshot: pure (no malloc, lock, libc, exception), and they read frozen memory only.
// 2. The order: prepare once, after the heap walk and before roots are listed; then the marker's passes, which call the others.
// 3. Listing the roots reads what prepare has written and changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address_space.h"

namespace stray::trace {

using base::range;

// How a word was found; decides how far it is trusted.
enum class origin : std::uint8_t {
  memory,   // a root range, a marked block, a parked stack: a stale copy is possible
  running,  // registers or live stack of a thread that was stopped while it ran: such a word is always taken at its face value
};

struct word {
  std::uintptr_t value;  // masked to base::address_mask
  std::uintptr_t raw;    // as it was
  std::uintptr_t at;     // the address where it lay in the process; 0 for a register
  std::uintptr_t end;   // end of the span that holds it; 0 when it cannot be read at `at` (registers, copies made in the pause)
  std::uintptr_t next;  // the word after it, unmasked; 0 when has_next is false
  bool has_next;        // false at the end of a span and for registers
  origin from;
};

// What a thread is to the client.
struct thread_role {
  enum kind : std::uint8_t {
    foreign,  // a plain thread: registers and native stack are roots
    idle,     // one of ours, without work: neither registers nor stack are scanned, unless a signal handler runs there
    busy,  // one of ours, at work: registers are roots; its stack from sp up to stack_top (client's knowledge), as origin::running
    parked,  // an OS thread blocked in a primitive: its registers and stack belong to a node; the client pushes them when the node is reached
    settled,  // an OS thread in the client's own blocking code, on its way into the system call or there: as a foreign one asleep in it
    ours,  // a service thread of the library: never scanned, nor its thread-local storage
  } what = foreign;
  // Bounds of the client's stack that sp lies in (of another one's, unless idle or busy); 0: sp is on the thread's native stack, or on one that
  // the client does not know.
  std::uintptr_t stack_top = 0, stack_lo = 0;
  bool own = false;  // that stack is the thread's own by now (child of a fork)
};

class marker;
struct image;

struct client {
  void* self;
  range interest;  // words that point into it go to locate() and hit(), never to blocks; the tracer scans none of it by itself

  // Writes image.roles: one for each of image.threads that stands_somewhere(); the others keep `foreign`. May be null: all do.
  void (*prepare)(void* self, image& in);

  // First pass: every word into `interest` of every root range, every in-use block, every thread stack that is not idle or ours.
  // The client calls for_each_word on the spans of its own (parked stacks) by itself.
  void (*locate)(void* self, const word& w);

  // Second pass: a word into `interest` found in something live.
  void (*hit)(void* self, marker& m, const word& w);

  // Second colour: a word into `interest` found in what marker::reach() walks. May be null.
  void (*reached)(void* self, marker& m, const word& w);

  // Second pass: the bytes [live.lo, live.hi) have been found live (root range, block, pushed span) and are being scanned. Not called
  // for registers and the second colour. May be null.
  void (*covered)(void* self, marker& m, range live);

  range entry{};  // code of the outermost frame of each of the client's stacks
};

}  // namespace stray::trace
