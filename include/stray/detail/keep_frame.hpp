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

// Stands before a call that may block, in an inline function of a caller that is no leaf, and so has no data below its stack pointer. What the
// caller's registers still hold of values that have ended would be saved in the frames below for as long as the wait, and what earlier calls
// have left there would lie in their gaps. (clang may need rbx for a frame of its own.)
#define STRAY_CLEAR_96_BELOW                                                                                       \
  "pxor %%xmm0, %%xmm0\n\tmovups %%xmm0, -16(%%rsp)\n\tmovups %%xmm0, -32(%%rsp)\n\tmovups %%xmm0, -48(%%rsp)\n\t" \
  "movups %%xmm0, -64(%%rsp)\n\tmovups %%xmm0, -80(%%rsp)\n\tmovups %%xmm0, -96(%%rsp)\n\t"
#define STRAY_CLEAR_HIGH_REGISTERS "xorl %%r12d, %%r12d\n\txorl %%r13d, %%r13d\n\txorl %%r14d, %%r14d\n\txorl %%r15d, %%r15d"
#if defined(__clang__)
#define STRAY_FORGET_WHAT_WAS \
  asm volatile(STRAY_CLEAR_96_BELOW STRAY_CLEAR_HIGH_REGISTERS : : : "r12", "r13", "r14", "r15", "xmm0", "memory", "cc")
#else
#define STRAY_FORGET_WHAT_WAS                                                          \
  asm volatile(STRAY_CLEAR_96_BELOW "xorl %%ebx, %%ebx\n\t" STRAY_CLEAR_HIGH_REGISTERS \
               :                                                                       \
               :                                                                       \
               : "rbx", "r12", "r13", "r14", "r15", "xmm0", "memory", "cc")
#endif
