// The lock word: who holds a lock, in one 64-bit word {owner id:56, thread:1, waiters:1, handoff:1, spare:5}.
//
// 1. 0 -> owner and flags in one CAS; unlock clears the owner at once: no instant at which a lock is held by nobody known.
// 2. The owner is the id of a goroutine or OS thread, never reused, never a pointer.
// 3. waiters and handoff change under the bucket's lock of the primitive's address.
#pragma once

#include <cstdint>

#include "runtime/task.h"

namespace stray::sync::lock_word {

inline constexpr std::uint64_t thread = 0x80, waiters = 0x40, handoff = 0x20, owner_mask = ~std::uint64_t{0x7f};

inline std::uint64_t of(const runtime::task* t) noexcept { return t->id << 8 | (t->is_thread ? thread : 0); }
inline std::uint64_t owner(std::uint64_t word) noexcept { return word >> 8; }

}  // namespace stray::sync::lock_word
