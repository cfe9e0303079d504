// What low floors call upwards, for their unit tests.
#include "base/upcalls.h"

namespace stray::upcall {

void dump_goroutines(int) noexcept {}
void runtime_started() noexcept {}
void runtime_forked() noexcept {}

}  // namespace stray::upcall
