// Runs one of the 28 ways in which the demo can be written, and prints how many of its leaks were found:
//   V07 expected 1 proven 1 likely 0
// main leaks, then returns judge(number, how many goroutines it has leaked).
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace demo28 {

inline void line(int i) {
  std::printf("goroutine %d waits\n", i);
  std::fflush(stdout);
}

// What some of the variations keep their channel in.
struct worker {
  stray::chan<int> in = stray::make_chan<int>();
  std::string name = "a worker with a name that is on the heap";
};

inline int judge(int number, std::size_t expected) {
  stray::testing::until_parked(expected);
  stray::leak::report r = stray::leak::find({.min_tier = stray::leak::tier::likely});
  std::size_t proven = 0, likely = 0;
  for (const stray::leak::group& g : r.groups()) {
    (g.tier >= stray::leak::tier::cycle ? proven : likely) += g.count;
    if (g.tier < stray::leak::tier::cycle) std::printf("likely: %s\n", g.cause.c_str());
  }
  std::printf("V%02d expected %zu proven %zu likely %zu\n", number, expected, proven, likely);
  return 0;
}

}  // namespace demo28
