// What earlier calls left on a stack lies in the gaps of the frames that come after, and would hide a leak there.
#pragma once

#include <cstddef>

namespace stray::base {

void clear_stack_below() noexcept;                       // 4 KB below the caller's frame
void clear_bytes(void* at, std::size_t bytes) noexcept;  // also where nobody reads them any more

}  // namespace stray::base
