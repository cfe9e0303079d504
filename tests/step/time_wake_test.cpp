// Every instruction of the wakes that come without a handle (timers, deadlines) or through several blocks (contexts, stop tokens): at none
// of them may the waiter be called leaked. Time is moved by the stepped thread. What a timer does it may do on a worker's own stack, which
// is not scanned: those tests run a second time with the stacks and registers of all threads, and orphan blocks, switched off as roots.
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>

#include "leak/detect/detector.h"
#include "trace/image_types.h"
#include "wake_scene.hpp"

namespace {

using namespace std::chrono_literals;
using namespace wake_scene;

std::optional<stray::testing::fake_clock> the_clock;
class time_wake : public testing::Test {
 protected:
  void SetUp() override { the_clock.emplace(); }
  void TearDown() override {
    the_clock.reset();
    roots_off = 0;
  }
};
class time_fires : public time_wake, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    time_wake::SetUp();
    using stray::trace::bit;
    using stray::trace::root;
    if (!GetParam()) return;
    roots_off = bit(root::registers) | bit(root::vector_registers) | bit(root::red_zone) | bit(root::stacks) | bit(root::tls) |
                bit(root::orphans);
  }
};
INSTANTIATE_TEST_SUITE_P(threads, time_fires, testing::Bool(), [](const auto& p) { return p.param ? "unseen" : "seen"; });
void let_it_pass() {
  armed = true;
  the_clock->advance(1h);
}

TEST_P(time_fires, control_the_waiter_is_reported_when_timers_are_no_roots) {
  stray::go([] { stray::after(1h).recv(); });
  settle();
  EXPECT_FALSE(reported_as_leaked());
  roots_off |= stray::trace::bit(stray::trace::root::orphans);
  EXPECT_FALSE(reported_as_leaked());
  EXPECT_FALSE(stray::leak::detect({.off = roots_off, .timer_roots = false})->list.empty());
  the_clock->advance(1h);
  while (stray::num_goroutine() != 0) stray::yield();
}

TEST_P(time_fires, a_timer_fires_into_its_channel) {
  expect_never_leaked(
      "timer -> receiver", [] { stray::after(1h).recv(); }, let_it_pass);
}

TEST_P(time_fires, a_timer_wakes_an_os_thread) {
  expect_never_leaked("timer -> receiver on an OS thread",
                      [] {
                        auto ch = stray::after(1h);
                        publish(ch);
                        ch.recv();
                      },
                      let_it_pass, {.on_thread = true});
}

TEST_P(time_fires, a_ticker_fires_into_its_channel) {
  expect_never_leaked(
      "ticker -> receiver",
      [] {
        stray::ticker every(1h);
        every.channel().recv();
      },
      let_it_pass);
}

TEST_P(time_fires, one_timer_among_many) {
  std::vector<stray::timer> others;
  for (int i = 1; i <= 6; i++) others.emplace_back(1h + std::chrono::minutes(i * 5 % 7));
  for (int i = 1; i <= 2; i++) others.emplace_back(std::chrono::minutes(3 - i));
  expect_never_leaked(
      "timer among 8 -> receiver", [] { stray::after(1h).recv(); }, let_it_pass);
  for (stray::timer& t : others) t.stop();
}

TEST_F(time_wake, a_stopped_timer_is_reset) {
  expect_never_leaked(
      "reset, then timer -> receiver",
      [] {
        stray::timer t(1h);
        t.stop();
        publish(t);
        t.channel().recv();
      },
      [] {
        fetch<stray::timer>().reset(1h);
        the_clock->advance(1h);
      });
}

TEST_P(time_fires, after_func_runs) {
  expect_never_leaked(
      "after_func -> receiver",
      [] {
        stray::recv_chan<int> rx;
        {
          auto ch = stray::make_chan<int>();
          rx = ch;
          stray::after_func(1h, [ch] { ch.send(1); });
        }
        rx.recv();
      },
      let_it_pass);
}

TEST_P(time_fires, a_deadline_cancels) {
  expect_never_leaked(
      "deadline -> done",
      [] {
        stray::context ctx = stray::with_timeout(stray::background(), 1h).ctx;
        ctx.done().recv();
      },
      let_it_pass);
}

TEST_P(time_fires, a_deadline_cancels_down_a_tree) {
  expect_never_leaked(
      "deadline -> done of the third generation",
      [] {
        stray::context top = stray::with_timeout(stray::background(), 1h).ctx;
        stray::context sibling = stray::with_cancel(top).ctx;
        stray::context middle = stray::with_cancel(top).ctx;
        stray::context leaf = stray::with_cancel(middle).ctx;
        leaf.done().recv();
      },
      let_it_pass);
}

TEST_F(time_wake, cancel) {
  expect_never_leaked(
      "cancel -> done",
      [] {
        auto [ctx, cancel] = stray::with_cancel(stray::background());
        publish(cancel);
        ctx.done().recv();
      },
      [] { fetch<stray::cancel_func>()(); });
}

TEST_F(time_wake, cancel_down_a_tree) {
  expect_never_leaked(
      "cancel -> done of the third generation",
      [] {
        auto [top, cancel] = stray::with_cancel(stray::background());
        stray::context sibling = stray::with_cancel(top).ctx;
        stray::context middle = stray::with_cancel(top).ctx;
        stray::context leaf = stray::with_cancel(middle).ctx;
        publish(cancel);
        leaf.done().recv();
      },
      [] { fetch<stray::cancel_func>()(); });
}

// The list of children grows while the waiter is one of them.
TEST_F(time_wake, a_child_comes_and_then_cancel) {
  expect_never_leaked(
      "one child more, cancel -> done",
      [] {
        struct {
          stray::context ctx;
          stray::cancel_func cancel;
        } top;
        auto made = stray::with_cancel(stray::background());
        top.ctx = made.ctx;
        top.cancel = made.cancel;
        made.ctx = {};
        made.cancel = {};
        std::vector<stray::context> children;
        for (int i = 0; i < 4; i++) children.push_back(stray::with_cancel(top.ctx).ctx);
        publish(top);
        children[2].done().recv();
      },
      [] {
        struct parts {
          stray::context ctx;
          stray::cancel_func cancel;
        };
        parts& top = fetch<parts>();
        stray::cancelable_context fifth = stray::with_cancel(top.ctx);
        armed = false;  // the rest is the test above
        top.cancel();
      });
}

TEST_F(time_wake, a_stop_source_cancels) {
  expect_never_leaked(
      "request_stop -> done",
      [] {
        std::stop_source source;
        stray::context ctx = stray::with_stop_token(stray::background(), source.get_token()).ctx;
        stray::context child = stray::with_cancel(ctx).ctx;
        publish(source);
        child.done().recv();
      },
      [] { fetch<std::stop_source>().request_stop(); });
}

// The callback holds the only handle that can close.
struct closer {
  stray::chan<void> ch;
  void operator()() const { ch.close(); }
};
TEST_F(time_wake, cancel_requests_stop) {
  expect_never_leaked(
      "cancel -> stop callback -> receiver",
      [] {
        auto [ctx, cancel] = stray::with_cancel(stray::background());
        stray::context child = stray::with_cancel(ctx).ctx;
        auto ch = stray::make_chan<void>();
        stray::recv_chan<void> rx = ch;
        auto call = std::make_unique<std::stop_callback<closer>>(child.stop_token(), closer{std::move(ch)});
        publish(cancel);
        rx.recv();
      },
      [] { fetch<stray::cancel_func>()(); });
}

TEST_P(time_fires, a_deadline_requests_stop) {
  expect_never_leaked(
      "deadline -> stop callback -> receiver",
      [] {
        stray::context ctx = stray::with_timeout(stray::background(), 1h).ctx;
        stray::context child = stray::with_cancel(ctx).ctx;
        auto ch = stray::make_chan<void>();
        stray::recv_chan<void> rx = ch;
        auto call = std::make_unique<std::stop_callback<closer>>(child.stop_token(), closer{std::move(ch)});
        rx.recv();
      },
      let_it_pass);
}

}  // namespace
