// The simulator itself: what it must find, and that a seed tells everything.
#include "sim.h"

#include <atomic>
#include <mutex>

#include <stray/stray.hpp>
#include "base/sync_shim.h"

namespace {

void some_traffic() {
  auto values = stray::make_chan<int>(2);
  stray::wait_group all;
  int sum = 0;
  for (int i = 1; i <= 3; i++) all.go([=] { values.send(i); });
  all.go([&] {
    for (int i = 0; i < 3; i++) sum += *values.recv();
  });
  all.wait();
  SIM_CHECK(sum == 6);
}

TEST(sim, the_same_seed_gives_the_same_run) {
  for (std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    sim::run first = sim::run_seed("some traffic", some_traffic, seed),
             again = sim::run_seed("some traffic", some_traffic, seed);
    EXPECT_FALSE(first.failed);
    EXPECT_GT(first.switches, 0u);
    EXPECT_EQ(first.digest, again.digest);
    EXPECT_EQ(first.switches, again.switches);
    EXPECT_EQ(first.accesses, again.accesses);
  }
}

TEST(sim, seeds_differ) {
  EXPECT_NE(sim::run_seed("some traffic", some_traffic, 1).digest, sim::run_seed("some traffic", some_traffic, 7).digest);
}

// How many of the first 300 seeds fail.
int found(void (*body)()) {
  int n = 0;
  for (std::uint64_t seed = 1; seed <= 300; seed++) n += sim::run_seed("planted", body, seed, true).failed;
  return n;
}

// Sleeps after it has looked, not while: a wake in between is lost.
std::atomic<std::uint32_t> bell, sleeping;
void planted_lost_wake() {
  sim::thread waiter([] {
    if (sleeping.load() == 0) {
      std::uint32_t heard = bell.load();
      sleeping = 1;
      stray::base::futex_wait(bell, heard);
      while (bell.load() == 0) stray::base::futex_wait(bell, 0);
    }
  });
  if (sleeping.load() == 1) {
    bell = 1;
    stray::base::futex_wake(bell, 1);
  } else {
    while (sleeping.load() == 0) stray::base::cpu_relax();
    bell = 1;  // and no wake
  }
  waiter.join();
}
TEST(sim, finds_a_lost_wake) { EXPECT_GT(found(planted_lost_wake), 0); }

// Two plain increments.
int count;
void planted_race() {
  count = 0;
  sim::thread other([] {
    for (int i = 0; i < 3; i++) count = count + 1;
  });
  for (int i = 0; i < 3; i++) count = count + 1;
  other.join();
  SIM_CHECK(count == 6);
}
TEST(sim, finds_a_lost_update) { EXPECT_GT(found(planted_race), 0); }

// Two locks in two orders: sometimes.
void planted_deadlock() {
  stray::mutex a, b;
  stray::wait_group all;
  all.go([&] {
    std::lock_guard hold(a);
    std::lock_guard then(b);
  });
  all.go([&] {
    std::lock_guard hold(b);
    std::lock_guard then(a);
  });
  all.wait();
}
TEST(sim, finds_a_lock_order_deadlock) { EXPECT_GT(found(planted_deadlock), 0); }

void planted_live_lock() {
  std::atomic<bool> never{false};
  while (!never.load()) stray::base::cpu_relax();
}
TEST(sim, finds_a_live_lock) { EXPECT_TRUE(sim::run_seed("planted", planted_live_lock, 1, true).failed); }

void planted_leak() {
  stray::go([] { stray::make_chan<int>().recv(); });
}
TEST(sim, finds_goroutines_left_behind) { EXPECT_TRUE(sim::run_seed("planted", planted_leak, 1, true).failed); }

}  // namespace
