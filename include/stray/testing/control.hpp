// For tests: waiting for a state instead of sleeping.
#pragma once

#include <cstddef>

namespace stray::testing {

// Waits until at least n goroutines are blocked in a primitive (any reason but sleep). Never gives up: a test has its own time limit.
void until_parked(std::size_t n);

}  // namespace stray::testing
