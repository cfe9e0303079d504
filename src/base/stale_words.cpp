#include "base/stale_words.h"

#include <cstring>

namespace stray::base {

[[gnu::noinline]] void clear_stack_below() noexcept {
  unsigned char room[4096];
  clear_bytes(room, sizeof room);
}

[[gnu::noinline]] void clear_bytes(void* at, std::size_t bytes) noexcept {
  std::memset(at, 0, bytes);
  asm volatile("" : : "r"(at) : "memory");
}

}  // namespace stray::base
