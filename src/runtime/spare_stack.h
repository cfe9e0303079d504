// The free stack that a worker keeps for itself.
#pragma once

#include <cstdint>

namespace stray::runtime {

// One free stack of a worker's, which no lock guards.
struct spare_stack {
  std::uint32_t number = 0;  // index + 1; 0: none
  unsigned stack_class = 0;
};

}  // namespace stray::runtime
