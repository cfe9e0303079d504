// Stands in for src/upcalls.cpp in the unit tests of low floors.
#include "base/upcalls.h"

namespace stray::upcall {
void dump_goroutines(int) noexcept {}
void runtime_started() noexcept {}
void runtime_forked() noexcept {}
}  // namespace stray::upcall
