// Timers, tickers, after_func, contexts and error_groups in use, at 1, 2, 4 and 8 workers, while the detector looks again and again: none of
// those that wait may ever be called leaked, and everything ends. Seeded; nothing waits for a sleep.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/detect/detector.h"
#include "leak/model/findings.h"
#include "runtime/park.h"
#include "tests/stress/rounds.hpp"

namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // the tracer is blind there: nothing to ask
#else
constexpr bool sanitized = false;
#endif

// One task of a server: waits for whatever comes first, with all that may wake it in several hands.
void serve_one(const stray::context& parent, std::mt19937& random) {
  auto us = [&](unsigned most) { return std::chrono::microseconds(random() % most); };
  switch (random() % 6) {
    case 0: {
      auto [ctx, cancel] = stray::with_timeout(parent, us(300));
      ctx.done().recv();
      break;
    }
    case 1: {
      auto [ctx, cancel] = stray::with_cancel(stray::with_cancel(parent).ctx);
      stray::after_func(us(200), cancel);
      cancel = {};
      ctx.done().recv();
      break;
    }
    case 2: {
      stray::ticker every(50us);
      for (int i = 0; i < 3; i++) every.channel().recv();
      break;
    }
    case 3: {
      stray::timer t(1h);
      stray::after_func(us(200), [t] { t.reset(0s); });
      auto ch = t.channel();
      t = {};
      ch.recv();
      break;
    }
    case 4: {
      std::stop_source source;
      stray::context ctx = stray::with_stop_token(parent, source.get_token()).ctx;
      stray::after_func(us(100), [source]() mutable { source.request_stop(); });
      source = std::stop_source(std::nostopstate);
      ctx.done().recv();
      break;
    }
    default: {
      stray::error_group group(parent);
      for (int i = 0; i < 3; i++) group.go([ctx = group.ctx()] { ctx.done().recv(); });
      group.go([d = us(100)] {
        stray::after(d).recv();
        throw std::runtime_error("enough");
      });
      try {
        group.wait();
      } catch (const std::runtime_error&) {
      }
    }
  }
}

class time_stress : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(procs, time_stress, testing::Values(1, 2, 4, 8),
                         [](const auto& p) { return std::to_string(p.param); });

TEST_P(time_stress, nobody_who_waits_is_called_leaked) {
  int before = stray::maxprocs(GetParam());
  std::uint64_t wrong = stray::runtime::wrong_verdicts();
  std::atomic<int> left{12};
  auto root = stray::with_cancel(stray::background());
  auto body = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < rounds(1000); i++) serve_one(root.ctx, random);
    left--;
  };
  for (unsigned i = 0; i < 10; i++) stray::go(body, i);
  std::vector<std::thread> threads;
  for (unsigned i = 10; i < 12; i++) threads.emplace_back(body, i);
  int asked = 0;
  while (left != 0) {
    if (sanitized) {
      std::this_thread::yield();
      continue;
    }
    auto found = stray::leak::detect();
    for (const stray::leak::finding& f : found->list) EXPECT_LT(f.tier, stray::leak::tier::cycle);
    asked++;
  }
  for (std::thread& t : threads) t.join();
  while (stray::num_goroutine() != 0) stray::yield();
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong);
  std::printf("%d detections\n", asked);
  stray::maxprocs(before);
}

}  // namespace
