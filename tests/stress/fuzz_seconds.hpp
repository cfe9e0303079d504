// How long a fuzzer's target is fed: 2 s, in the long tier (STRAY_TEST_LONG=1) 2 minutes, or STRAY_FUZZ_S seconds.
#pragma once

#include <cstdlib>

inline long fuzz_seconds() {
  if (const char* wanted = std::getenv("STRAY_FUZZ_S")) return std::atol(wanted);
  return std::getenv("STRAY_TEST_LONG") != nullptr ? 120 : 2;
}
