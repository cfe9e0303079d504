// A wake under the microscope: the waker is stepped one instruction at a time on a thread of its own, and at each the real detector takes a
// snapshot of the process: may the waiter be called leaked? (CLAIM, docs/design/soundness.md) All that the waker has is a reference into the waiter's
// own blocked frame, the lock, or a timer: the worst case there is.
// Asked at each of the first 80 instructions, then at the n-th with probability 80/n; with STRAY_TEST_LONG=1 at each. STRAY_TEST_SEED=N
// repeats a run's choice, which is printed.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/detect/detector.h"
#include "leak/model/findings.h"
#include "runtime/park.h"
#include "single_step.hpp"

namespace wake_scene {

inline constexpr std::uintptr_t mask = 0x5a5a'5a5a'5a5a'5a5a;  // pointers that the tracer must not see

// What the waiter hands to the waker, hidden.
inline std::atomic<std::uintptr_t> hidden{0};
template <class T>
void publish(T& object) {
  hidden = reinterpret_cast<std::uintptr_t>(&object) ^ mask;
}
template <class T>
[[gnu::noinline]] T& reveal() {
  return *reinterpret_cast<T*>(hidden.load() ^ mask);
}
// From here on the waker has it, in a register and nowhere else, and every instruction counts.
inline std::atomic<bool> armed{false};
template <class T>
[[gnu::always_inline]] inline T& fetch() {
  T& object = reveal<T>();
  armed = true;
  return object;
}

inline unsigned roots_off = 0;  // bits of trace::root: what the waker's thread has in hand may be made invisible

inline bool reported_as_leaked() {
  auto found = stray::leak::detect({.off = roots_off});
  for (const stray::leak::finding& f : found->list) {
    if (f.tier >= stray::leak::tier::cycle) return true;
  }
  return false;
}

// Which instructions are looked at.
struct sample {
  const char* seed_text = std::getenv("STRAY_TEST_SEED");
  bool every = std::getenv("STRAY_TEST_LONG") != nullptr;
  unsigned seed = seed_text != nullptr ? static_cast<unsigned>(std::strtoul(seed_text, nullptr, 0)) : std::random_device{}();
  std::minstd_rand random{seed};
  unsigned seen = 0;

  bool takes_next() {
    constexpr unsigned dense = 80;
    return ++seen <= dense || every || random() % seen < dense;
  }
};

// The stepped thread asks, the main thread answers.
struct oracle {
  std::atomic<int> asked{0}, answered{0};
  std::atomic<bool> done{false};
  sample which;
  int instructions = 0, wrong = 0;

  void step() {  // in the trap handler of the waker: spins, so that it counts as running
    if (!armed || !which.takes_next()) return;
    int n = asked.fetch_add(1) + 1;
    while (answered.load() < n) __builtin_ia32_pause();
  }
  void answer_until_done() {
    while (!done) {
      if (asked.load() == answered.load()) {
        std::this_thread::yield();
        continue;
      }
      instructions++;
      wrong += reported_as_leaked();
      answered++;
    }
  }
};

struct scene {
  std::size_t parked = 1;    // goroutines that block before the waker begins
  bool on_thread = false;    // the waiter is an OS thread
  void (*before)() = [] {};  // by the waker's thread, before the waiter starts
  void (*after)() = [] {};   // the same, when the waiter is blocked
};

// waiter runs on a goroutine (or a thread) and blocks; waker runs stepped on a thread of its own.
inline void expect_never_leaked(const char* name, std::function<void()> waiter, void (*waker)(), scene set = {}) {
  hidden = 0;
  armed = false;
  oracle o;
  std::atomic<int> phase{0};
  std::thread stepped([&] {
    stray::mutex().try_lock();  // the thread gets its record before it is stepped
    set.before();
    phase = 1;
    while (phase.load() != 2) std::this_thread::yield();
    set.after();
    single_step::run([&o](const ucontext_t&) { o.step(); }, waker);
    o.done = true;
  });
  while (phase.load() != 1) std::this_thread::yield();
  std::thread blocked;
  if (set.on_thread) {
    blocked = std::thread(waiter);
    while (hidden.load() == 0) std::this_thread::yield();
  } else {
    stray::go(waiter);
    stray::testing::until_parked(set.parked);
  }
  waiter = nullptr;
  std::uint64_t wrong_before = stray::runtime::wrong_verdicts();
  phase = 2;
  o.answer_until_done();
  stepped.join();
  if (blocked.joinable()) blocked.join();
  while (stray::num_goroutine() != 0) stray::yield();
  std::printf("%-48s %5d of %u instructions, %d wrong; seed %u\n", name, o.instructions, o.which.seen, o.wrong, o.which.seed);
  EXPECT_GT(o.instructions, 20);
  EXPECT_EQ(o.wrong, 0);
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong_before);
}

inline void settle() { stray::testing::until_parked(1); }

}  // namespace wake_scene
