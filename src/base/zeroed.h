// The memory of objects of ours that a user's object leads to: zero before it is used, so that no word of the block's last owner shows
// through a gap or behind the end (malloc rounds up; calloc clears all that it gives).
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace stray::base {

struct zeroed {
  static void* operator new(std::size_t size) {
    if (void* at = std::calloc(1, size)) return at;
    throw std::bad_alloc();
  }
  static void operator delete(void* at) noexcept { std::free(at); }
};

}  // namespace stray::base
