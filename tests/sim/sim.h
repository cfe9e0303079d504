// The library under a seeded scheduler: the same sources, on virtual threads that take turns on one OS thread.
//
//   SIM_TEST(chan, every_value_arrives) { ... SIM_CHECK(sum == 10); }    // run once a seed, each in a process of its own
//
// 1. A seed decides everything: who runs next, at which access to memory it is interrupted, for how long it is kept from running, how time
//    passes, spurious wakes. The same seed on the same binary gives the same run (sim.the_same_seed_gives_the_same_run): addresses are not
//    randomised, and each run is a fork of one process in which the library has not started yet.
// 2. A run fails when a SIM_CHECK fails, when all threads are asleep and no time limit will wake one (a lost wake), when it takes millions of
//    accesses (a live lock), and when goroutines are left at its end.
// 3. Interleavings are sequentially consistent: what a weaker memory order allows is not explored (ThreadSanitizer's part).
// 4. Every second seed has no watcher, so that it cannot make up for a wake that was lost.
// Seeds 1 to 60 by default, 1 to 10,000 with STRAY_TEST_LONG=1; STRAY_SIM_SEED=N is one run and tells its last switches.
// Sources: random walks and priority change points (Burckhardt et al., "A randomized scheduler with probabilistic guarantees", 2010).
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>

namespace sim {

struct run {
  std::uint64_t switches, accesses, digest;  // of the schedule
  bool failed;
};
run run_seed(const char* name, void (*body)(), std::uint64_t seed, bool quiet = false);
void explore(const char* name, void (*body)());

void watched() noexcept;  // this run has a watcher, whatever its seed; before the first use of the library
[[noreturn]] void fail(const char* what, const char* file, int line);
std::uint64_t random() noexcept;  // of the seed
inline std::uint32_t random(std::uint32_t below) noexcept { return static_cast<std::uint32_t>(random() % below); }

// A virtual OS thread. To be joined.
class thread {
 public:
  explicit thread(std::function<void()> body);
  void join();

 private:
  std::uint32_t number_;
};

}  // namespace sim

#define SIM_CHECK(condition) ((condition) ? void() : sim::fail(#condition, __FILE__, __LINE__))
#define SIM_TEST(suite, name)                                           \
  static void suite##_##name();                                         \
  TEST(suite, name) { sim::explore(#suite "." #name, suite##_##name); } \
  static void suite##_##name()
