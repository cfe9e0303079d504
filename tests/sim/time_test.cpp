// Timers, tickers and contexts: what fires, fires once and wakes; what was stopped does not come.
#include "sim.h"

#include <atomic>
#include <stop_token>
#include <vector>

#include <stray/stray.hpp>

namespace {

using namespace std::chrono_literals;
using stray::wait_group;

bool empty(const stray::recv_chan<stray::time_point>& ch) {
  std::optional<stray::time_point> v;
  return ch.try_recv(v) == stray::chan_status::would_block;
}
std::chrono::nanoseconds some_time() { return std::chrono::microseconds(sim::random(300)); }

SIM_TEST(timer, sleeps_and_afters) {
  wait_group all;
  std::atomic<int> n{0};
  for (int g = 0; g < 6; g++) {
    all.go([&, g] {
      for (int i = 0; i < 2; i++) {
        if (g % 2 == 0) {
          stray::sleep_for(some_time());
        } else {
          stray::after(some_time()).recv();
        }
      }
      n++;
    });
  }
  sim::thread outside([&] {
    stray::sleep_for(some_time());
    stray::after(some_time()).recv();
  });
  outside.join();
  all.wait();
  SIM_CHECK(n == 6);
}

// After a stop that says it came in time, and before the next reset, nothing is received.
SIM_TEST(timer, stop_and_reset_against_firing) {
  wait_group all;
  for (int g = 0; g < 2; g++) {
    all.go([] {
      stray::timer t(some_time());
      for (int i = 0; i < 6; i++) {
        if (sim::random(2) == 0) {
          t.stop();
          SIM_CHECK(empty(t.channel()));
        }
        t.reset(some_time());
        if (sim::random(2) == 0) t.channel().recv();
      }
      t.stop();
    });
  }
  all.wait();
}

SIM_TEST(timer, a_select_with_a_time_limit) {
  auto ch = stray::make_chan<int>();
  std::atomic<int> received{0}, late{0};
  wait_group all;
  for (int g = 0; g < 2; g++) {
    all.go([&] {
      for (int i = 0; i < 4; i++) {
        stray::select(stray::on_recv(ch, [&](std::optional<int>) { received++; }),
                      stray::on_recv(stray::after(some_time()), [&](std::optional<stray::time_point>) { late++; }));
      }
    });
  }
  std::atomic<int> sent{0};
  all.go([&] {
    for (int i = 0; i < 8; i++) {
      sent += ch.try_send(i);
      stray::sleep_for(some_time());
    }
  });
  all.wait();
  SIM_CHECK(sent == received && received + late == 8);
}

// It runs exactly if stop says that it did not prevent it.
SIM_TEST(after_func, runs_or_was_stopped) {
  std::atomic<int> runs{0};
  int stopped = 0;
  for (int i = 0; i < 6; i++) {
    stray::timer t = stray::after_func(some_time(), [&] { runs++; });
    for (std::uint32_t n = sim::random(4); n > 0; n--) stray::sleep_for(100us);
    stopped += t.stop();
  }
  while (runs + stopped < 6) stray::sleep_for(100us);
  stray::sleep_for(1ms);
  SIM_CHECK(runs + stopped == 6);
}

SIM_TEST(ticker, ticks_until_stopped) {
  stray::ticker t(50us);
  wait_group all;
  for (int g = 0; g < 2; g++) {
    all.go([&] {
      for (int i = 0; i < 3; i++) t.channel().recv();
    });
  }
  all.wait();
  t.reset(20us);
  t.channel().recv();
  t.stop();
  SIM_CHECK(empty(t.channel()));
}

// A tree that grows while it is cancelled: every context of it ends, whoever comes first.
SIM_TEST(context, cancel_reaches_all) {
  auto root = stray::with_cancel(stray::background());
  wait_group all;
  for (int g = 0; g < 3; g++) {
    all.go([&] {
      auto child = stray::with_cancel(root.ctx);
      auto late = stray::with_timeout(child.ctx, 1h);
      wait_group below;
      below.go([&] { late.ctx.done().recv(); });
      if (sim::random(3) == 0) child.cancel();
      below.wait();
      SIM_CHECK(late.ctx.err());  // an hour may pass, too
    });
  }
  for (std::uint32_t n = sim::random(10); n > 0; n--) stray::yield();
  root.cancel();
  all.wait();
  auto afterwards = stray::with_cancel(root.ctx);
  afterwards.ctx.done().recv();
}

// The deadline and the cancel race: one reason, seen by all alike.
SIM_TEST(context, deadline_against_cancel) {
  auto parent = stray::with_timeout(stray::background(), some_time());
  auto child = stray::with_cancel(parent.ctx);
  wait_group all;
  std::error_code seen[3];
  for (std::error_code& e : seen) {
    all.go([&] {
      child.ctx.done().recv();
      e = child.ctx.err();
    });
  }
  all.go([&] {
    stray::sleep_for(some_time());
    (sim::random(2) == 0 ? parent.cancel : child.cancel)();
  });
  all.wait();
  for (std::error_code& e : seen) SIM_CHECK(e && e == seen[0]);
}

// Callbacks of stop tokens are left out: they ask which OS thread they run on, and here all are one.
SIM_TEST(context, both_ways_with_stop_tokens) {
  std::stop_source source;
  auto made = stray::with_stop_token(stray::background(), source.get_token());
  std::stop_token token = made.ctx.stop_token();
  wait_group all;
  all.go([&] { made.ctx.done().recv(); });
  all.go([&] {
    while (!token.stop_requested()) stray::yield();
  });
  if (sim::random(2) == 0) {
    source.request_stop();
  } else {
    made.cancel();
  }
  all.wait();
}

SIM_TEST(error_group, the_first_error_cancels) {
  stray::error_group group;
  if (sim::random(2) == 0) group.set_limit(3);
  std::atomic<int> ended{0};
  for (int g = 0; g < 4; g++) {
    group.go([&, g] {
      if (g == 2) {
        ended++;
        throw std::runtime_error("first");
      }
      group.ctx().done().recv();
      ended++;
    });
    if (g == 2) break;
  }
  bool threw = false;
  try {
    group.wait();
  } catch (const std::runtime_error&) {
    threw = true;
  }
  SIM_CHECK(threw && ended == 3);
}

}  // namespace
