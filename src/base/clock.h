// Sums of times, in nanoseconds of the one clock (sync_shim.h).
#pragma once

#include <cstdint>
#include <ctime>

#include "base/sync_shim.h"

namespace stray::base {

// That long from now, without overflow.
inline std::int64_t after_ns(std::int64_t ns) noexcept {
  std::int64_t now = now_ns(), last = INT64_MAX - 1;
  return ns > last - now ? last : now + ns;
}
// Of a processor, that the calling thread has taken since its start.
inline std::int64_t thread_cpu_ns() noexcept {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
inline timespec to_timespec(std::int64_t ns) noexcept {
  if (ns < 0) ns = 0;
  return {static_cast<std::time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

}  // namespace stray::base
