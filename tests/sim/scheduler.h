// Between the scheduler of virtual threads and the accesses that the compiler announces to it.
#pragma once

namespace sim {

// An atomic access takes 8 off, any other one 1; at 0 the scheduler has the word. It is huge while no seed runs.
extern constinit int countdown;
void interrupt(const void* pc) noexcept;

}  // namespace sim
