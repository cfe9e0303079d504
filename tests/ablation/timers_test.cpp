// Pending callbacks of timers are roots for a reason: without them each of these is reported.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/detect/detector.h"
#include "leak/model/ablation.h"
#include "leak/model/findings.h"
#include "trace/image_types.h"

namespace {

using namespace std::chrono_literals;
using stray::leak::tier;
using stray::trace::bit;
using stray::trace::root;

std::optional<tier> verdict(const stray::leak::ablation& without = {}) {
  std::optional<tier> best;
  auto found = stray::leak::detect(without);
  for (const stray::leak::finding& f : found->list) {
    if (!best || f.tier > *best) best = f.tier;
  }
  return best;
}

void expect_root(const std::function<void()>& waiter) {
  stray::testing::fake_clock clock;
  stray::go(waiter);
  stray::testing::until_parked(1);
  EXPECT_EQ(verdict(), std::nullopt);
  EXPECT_TRUE(verdict({.timer_roots = false}).has_value()) << "something else hides that the timer is needed";
  EXPECT_EQ(verdict({.off = bit(root::orphans), .timer_roots = false}), tier::proven);
  clock.advance(1h);
  while (stray::num_goroutine() != 0) stray::yield();
}

TEST(timers_as_roots, timer) {
  expect_root([] { stray::after(1h).recv(); });
}

TEST(timers_as_roots, after_func) {
  expect_root([] {
    stray::recv_chan<int> rx;
    {
      auto ch = stray::make_chan<int>();
      rx = ch;
      stray::after_func(1h, [ch] { ch.send(1); });
    }
    rx.recv();
  });
}

TEST(timers_as_roots, deadline) {
  expect_root([] {
    stray::context ctx = stray::with_timeout(stray::background(), 1h).ctx;
    stray::context child = stray::with_cancel(ctx).ctx;
    child.done().recv();
  });
}

}  // namespace
