// How a goroutine's end by a fault or an uncaught exception is told.
//
// 1. Uncaught exception: "panic: <what()>" (panic_text.h), the goroutine's trace, exit status 2 (the terminate handler; the one before is chained when
//    the exception was thrown by a thread that runs no goroutine).
// 2. SIGSEGV in the guard page of the stack that the goroutine is at the end of: "stack overflow", the goroutine and its stack size, trace, exit status 2. Any other SIGSEGV goes to
//    the handler that was there before.
#pragma once

#include "base/address_space.h"

namespace stray::runtime {

void install_failure_handlers() noexcept;  // at start; in the child of a fork again, for what is not there
// Of the calling worker: a guard page fault has no room on the goroutine's stack. Where it lies; empty: no memory.
base::range use_alternate_stack() noexcept;

}  // namespace stray::runtime
