// The lock word: who holds a lock, in one 64-bit word {owner id:56, thread:1, waiters:1, handoff:1, spare:5}.
//
// 1. 0 -> owner and flags in one CAS; unlock clears the owner at once: no instant at which a lock is held by nobody known.
// 2. The owner is the id of a goroutine or OS thread, never reused, never a pointer.
// 3. waiters and handoff change under the bucket's lock of the primitive's address.
#pragma once

#include <cstdint>

#include <stray/shared_mutex.hpp>
#include "runtime/task.h"

namespace stray::sync::lock_word {

inline constexpr std::uint64_t thread = runtime::task::owner_is_thread, waiters = 0x40, handoff = 0x20,
                               owner_mask = ~std::uint64_t{0x7f};

inline constexpr std::int64_t starving_ns = 1'000'000;  // who has waited for longer asks for a hand-over

inline std::uint64_t of(const runtime::task* t) noexcept { return t->owner_word; }
inline std::uint64_t owner(std::uint64_t word) noexcept { return word >> 8; }

}  // namespace stray::sync::lock_word

// The second word of a shared_mutex, behind the lock word of its writer. Readers queue under the address of the lock word, writers under the
// address of this one.
namespace stray::sync::shared_word {

using namespace detail::shared_word;
inline constexpr std::uint64_t flags = reader - 1;
inline constexpr std::uintptr_t offset = 8;  // from the lock word to this one

inline std::uint64_t readers(std::uint64_t word) noexcept { return word / reader; }

}  // namespace stray::sync::shared_word
