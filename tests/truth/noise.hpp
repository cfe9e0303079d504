// What else goes on: births and deaths, blocks that come and go, leaks of our own, fibers, wakes, threads, locks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace truth {

void begin_noises(const std::vector<std::string>& which, std::uint64_t seed);
void over_noises();  // they have stopped when it returns

}  // namespace truth
