// What base calls on higher floors, for unit tests that link base without them.
#include "base/upcalls.h"

namespace stray::upcall {
void dump_goroutines(int) noexcept {}
void runtime_started() noexcept {}
void runtime_forked() noexcept {}
}  // namespace stray::upcall
