// A long text to a descriptor, in pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "base/syscalls.h"

namespace stray::base {

// Ends at the first error. after_each: called after each piece.
template <class F>
void write_all(int fd, std::string_view text, F after_each) noexcept {
  constexpr std::size_t piece = std::size_t{64} << 10;
  while (!text.empty()) {
    const long n = sys::write(fd, text.data(), std::min(text.size(), piece));
    after_each();
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace stray::base
