// The word of a barrier: {phase:8, pending:28, expected:28}.
#pragma once

#include <cstdint>

namespace stray::sync::barrier_word {

inline constexpr unsigned pending_shift = 28, phase_shift = 56;
inline constexpr std::uint64_t count_mask = (std::uint64_t{1} << 28) - 1;
inline std::uint64_t pending(std::uint64_t word) noexcept { return word >> pending_shift & count_mask; }
inline std::uint64_t expected(std::uint64_t word) noexcept { return word & count_mask; }
inline std::uint8_t phase(std::uint64_t word) noexcept { return static_cast<std::uint8_t>(word >> phase_shift); }

}  // namespace stray::sync::barrier_word
