// The only way up: what low floors must call in high ones. src/upcalls.cpp (top floor) defines them; unit tests of low floors link a
// stub. They are strong undefined symbols, so that a static link pulls the definitions in.
#pragma once

namespace stray::upcall {

// Writes all goroutines to descriptor fd, the calling one first, in the format of debug=2. Called on the way to exit: must not throw.
void dump_goroutines(int fd) noexcept;
// The runtime has just started (first go, make_chan or park). Called once, by the thread that started it.
void runtime_started() noexcept;
// The runtime is about to start afresh in the child of a fork, which has one thread: what the parent's threads had locked, or were doing, is
// to be forgotten.
void runtime_forked() noexcept;

}  // namespace stray::upcall
