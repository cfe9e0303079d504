// A seccomp filter may refuse a system call, or kill who makes it. So what a filter could dislike is first asked in a process of its own.
// Raw system calls only.
#pragma once

#include <cstdint>

namespace stray::trace {

// Of the calling thread: 0: none; else grows with each one. Where it cannot be read: as if there were one.
std::uint64_t seccomp_filters() noexcept;

// A copy of this process with our descriptors, as by fork: its id, 0 in the copy, < 0 for an error. A filter may make the call answer 0 and do
// nothing; whoever believed that would end the program in place of its copy. -ENOSYS then.
long clone_process() noexcept;

// Runs ask(arg) in a process with memory of its own and our descriptors, and tells whether it returned true. Killed, or not back within
// some 200 ms (a supervisor may be asked): false. While all threads run.
bool survives(bool (*ask)(void* arg) noexcept, void* arg) noexcept;

}  // namespace stray::trace
