// A counter that tasks wait to see at 0, in one word {counter:32, spare:31, waiting:1}: wait_group and latch.
//
// The step to 0 is one CAS; with waiters it is made under the bucket's lock, and they are claimed before that is released. So nobody can
// queue for a later use of the address and be woken by an earlier one, and who was woken may destroy the word at once.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/task.h"

namespace stray::sync::countdown {

inline constexpr std::uint64_t waiting = 1;
inline std::int64_t counter(std::uint64_t word) noexcept { return static_cast<std::int32_t>(word >> 32); }

enum class outcome : std::uint8_t { done, reached_zero, negative, overflow };
outcome add(std::atomic<std::uint64_t>& word, std::int64_t n) noexcept;  // negative, overflow: nothing has changed
void wait(std::atomic<std::uint64_t>& word, runtime::wait_reason reason);

}  // namespace stray::sync::countdown
