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
