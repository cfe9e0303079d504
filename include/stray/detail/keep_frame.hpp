// Stands after a blocking call, in an inline function, so that a report can name the line of who called.
//
// 1. The call must not be the last thing that a function does: it would become a jump, and the caller's frame would be gone.
// 2. g++ must not fold two equal functions of which each blocks at a line of its own (-fipa-icf): it does not fold functions with a label
//    in assembly.
#pragma once

#define STRAY_KEEP_FRAME             \
  __extension__({                    \
    __label__ stray_kept;            \
    asm goto("" : : : : stray_kept); \
  stray_kept:;                       \
  })

// Stands at the end of each operation of a channel, for `this`. The operation needs the core only, so the caller's pointer to the handle would be
// dead while an element is copied, moved or destroyed: by code of the user's, which may block. What the operation is about to wake would then
// be proven leaked if that handle is the only one (COUNT takes a bare address of a core for a stale copy).
#define STRAY_KEEP_HANDLE asm volatile("" : : "r"(this))
