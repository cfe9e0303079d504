// What an uncaught exception says.
//
// 1. "panic: <what()>". Lines behind the first are indented, as Go does, so that none looks like one of the dump.
// 2. what() is the program's code, and runs in a process that is about to end: it may call exit, throw, crash, or not return. Then the type is
//    named instead, the dump follows, and the status is 2. Not after _exit there, nor a signal that kills.
#pragma once

namespace stray::runtime {

// Of the exception that std::terminate was called for; by the reporter (base/first_failure.h).
void print_panic() noexcept;

}  // namespace stray::runtime
