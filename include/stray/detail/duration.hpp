// Durations as nanoseconds without overflow: hours::max() means for ever.
#pragma once

#include <chrono>
#include <cstdint>

#pragma GCC visibility push(default)

namespace stray::detail {

inline constexpr std::int64_t longest_wait_ns = std::int64_t{1} << 62;  // 146 years

// Rounded up; negative becomes 0.
template <class Rep, class Period>
constexpr std::int64_t wait_ns(const std::chrono::duration<Rep, Period>& d) noexcept {
  if (!(d.count() > 0)) return 0;
  if (std::chrono::duration<double, std::nano>(d).count() >= static_cast<double>(longest_wait_ns)) return longest_wait_ns;
  return std::chrono::ceil<std::chrono::nanoseconds>(d).count();
}

}  // namespace stray::detail

#pragma GCC visibility pop
