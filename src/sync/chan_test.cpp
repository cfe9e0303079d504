// Channels, one rule of Go's at a time. Goroutines count in atomics; what they saw is checked when they have ended.
#include <atomic>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using stray::testing::until_parked;

class channel : public ::testing::Test {
 protected:
  void TearDown() override { all_ended(); }
};

TEST_F(channel, unbuffered_send_waits_for_its_receiver) {
  auto ch = make_chan<int>();
  std::atomic<bool> sent{false};
  go([&] {
    ch.send(5);
    sent = true;
  });
  until_parked(1);
  EXPECT_FALSE(sent);
  EXPECT_EQ(ch.len(), 0u);
  EXPECT_EQ(ch.cap(), 0u);
  EXPECT_EQ(ch.recv(), 5);
  until([&] { return sent.load(); });
  all_ended();
}

TEST_F(channel, unbuffered_receive_waits_for_its_sender) {
  auto ch = make_chan<int>();
  std::atomic<int> got{0};
  go([&] { got = ch.recv().value_or(-1); });
  until_parked(1);
  ch.send(6);
  until([&] { return got != 0; });
  EXPECT_EQ(got, 6);
  all_ended();
}

TEST_F(channel, buffer_is_first_in_first_out_and_counts) {
  auto ch = make_chan<int>(3);
  EXPECT_EQ(ch.cap(), 3u);
  for (int round = 0; round < 5; round++) {
    for (int i = 0; i < 3; i++) {
      EXPECT_EQ(ch.len(), static_cast<std::size_t>(i));
      ch.send(10 * round + i);
    }
    EXPECT_EQ(ch.len(), 3u);
    EXPECT_FALSE(ch.try_send(99));
    for (int i = 0; i < 2; i++) EXPECT_EQ(ch.recv(), 10 * round + i);
    ch.send(10 * round + 3);  // wraps round
    EXPECT_EQ(ch.recv(), 10 * round + 2);
    EXPECT_EQ(ch.recv(), 10 * round + 3);
    EXPECT_EQ(ch.len(), 0u);
  }
}

TEST_F(channel, full_buffer_takes_the_blocked_senders_in_their_order) {
  auto ch = make_chan<int>(2);
  ch.send(0);
  ch.send(1);
  for (int i = 2; i < 6; i++) {
    go([ch, i] { ch.send(i); });
    until_parked(static_cast<std::size_t>(i - 1));
  }
  for (int i = 0; i < 6; i++) EXPECT_EQ(ch.recv(), i);
  all_ended();
}

TEST_F(channel, blocked_receivers_are_served_in_their_order) {
  auto ch = make_chan<int>();
  std::vector<std::atomic<int>> got(4);
  for (std::size_t i = 0; i < got.size(); i++) {
    go([&, i] { got[i] = *ch.recv(); });
    until_parked(i + 1);
  }
  for (int i = 0; i < 4; i++) ch.send(10 + i);
  for (int i = 0; i < 4; i++) until([&] { return got[static_cast<std::size_t>(i)] == 10 + i; });
  all_ended();
}

TEST_F(channel, closed_drains_and_then_answers_nothing) {
  auto ch = make_chan<int>(4);
  ch.send(1);
  ch.send(2);
  ch.close();
  EXPECT_EQ(ch.len(), 2u);
  EXPECT_EQ(ch.recv(), 1);
  std::optional<int> x;
  EXPECT_EQ(ch.try_recv(x), chan_status::ok);
  EXPECT_EQ(x, 2);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(ch.recv(), std::nullopt);
    EXPECT_EQ(ch.try_recv(x), chan_status::closed);
    EXPECT_EQ(x, std::nullopt);
  }
  EXPECT_EQ(ch.cap(), 4u);
}

TEST_F(channel, misuse_panics_with_gos_text) {
  auto ch = make_chan<int>(1);
  ch.close();
  EXPECT_EQ(panic_of([&] { ch.send(1); }), "send on closed channel");
  EXPECT_EQ(panic_of([&] { ch.try_send(1); }), "send on closed channel");
  EXPECT_EQ(panic_of([&] { ch.close(); }), "close of closed channel");
  EXPECT_EQ(panic_of([] { chan<int>().close(); }), "close of nil channel");
  EXPECT_EQ(panic_of([] { send_chan<void>().close(); }), "close of nil channel");
  EXPECT_EQ(panic_of([] { (void)make_chan<int>(~std::size_t{0}); }), "makechan: size out of range");
  EXPECT_EQ(ch.recv(), std::nullopt);  // no lock was left behind
}

TEST_F(channel, close_wakes_all_receivers) {
  auto ch = make_chan<int>();
  std::atomic<int> empty{0};
  for (int i = 0; i < 10; i++) go([&] { empty += !ch.recv().has_value(); });
  until_parked(10);
  ch.close();
  until([&] { return empty == 10; });
  all_ended();
}

TEST_F(channel, close_makes_all_blocked_senders_panic) {
  auto ch = make_chan<int>(1);
  ch.send(7);
  std::atomic<int> panics{0};
  for (int i = 0; i < 10; i++) go([&] { panics += panic_of([&] { ch.send(8); }) == "send on closed channel"; });
  until_parked(10);
  ch.close();
  until([&] { return panics == 10; });
  EXPECT_EQ(ch.recv(), 7);
  EXPECT_EQ(ch.recv(), std::nullopt);
  all_ended();
}

TEST_F(channel, nil_never_waits_in_try_operations) {
  chan<int> nil;
  std::optional<int> x = 5;
  EXPECT_FALSE(nil.try_send(1));
  EXPECT_EQ(nil.try_recv(x), chan_status::would_block);
  EXPECT_EQ(x, std::nullopt);
  EXPECT_EQ(nil.len(), 0u);
  EXPECT_EQ(nil.cap(), 0u);
  EXPECT_FALSE(static_cast<bool>(nil));
  EXPECT_FALSE(chan<void>().try_send());
  EXPECT_EQ(chan<void>().try_recv(), chan_status::would_block);
}

TEST_F(channel, nil_blocks_for_ever) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto body = [] {  // a process of its own: these goroutines never end
    std::atomic<int> through{0};
    go([&] { chan<int>().send(1), through++; });
    go([&] { chan<int>().recv(), through++; });
    go([&] { chan<void>().recv(), through++; });
    go([&] { send_chan<void>().send(), through++; });
    until_parked(4);
    std::_Exit(through);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "^$");
}

TEST_F(channel, try_operations_find_a_waiting_partner) {
  auto ch = make_chan<int>();
  EXPECT_FALSE(ch.try_send(1));
  std::optional<int> x;
  EXPECT_EQ(ch.try_recv(x), chan_status::would_block);
  std::atomic<int> got{0};
  go([&] { got = *ch.recv(); });
  until_parked(1);
  EXPECT_TRUE(ch.try_send(3));
  until([&] { return got == 3; });
  go([&] { ch.send(4); });
  until_parked(1);
  EXPECT_EQ(ch.try_recv(x), chan_status::ok);
  EXPECT_EQ(x, 4);
  all_ended();
}

TEST_F(channel, of_void_carries_signals) {
  auto ch = make_chan<void>(2);
  ch.send();
  EXPECT_TRUE(ch.try_send());
  EXPECT_FALSE(ch.try_send());
  EXPECT_EQ(ch.len(), 2u);
  EXPECT_TRUE(ch.recv());
  EXPECT_EQ(ch.try_recv(), chan_status::ok);
  EXPECT_EQ(ch.try_recv(), chan_status::would_block);
  ch.close();
  EXPECT_FALSE(ch.recv());
  EXPECT_EQ(ch.try_recv(), chan_status::closed);
  EXPECT_EQ(panic_of([&] { ch.send(); }), "send on closed channel");
  auto hand = make_chan<void>();
  go([hand] {
    for (int i = 0; i < 3; i++) hand.send();
    hand.close();
  });
  int n = 0;
  while (hand.recv()) n++;
  EXPECT_EQ(n, 3);
  all_ended();
}

TEST_F(channel, range_ends_when_closed_and_drained) {
  auto ch = make_chan<int>(2);
  go([ch] {
    for (int i = 1; i <= 100; i++) ch.send(i);
    ch.close();
  });
  int sum = 0, n = 0;
  for (int v : ch) sum += v, n++;
  EXPECT_EQ(n, 100);
  EXPECT_EQ(sum, 5050);
  for (int v : recv_chan<int>(ch)) sum += v;
  EXPECT_EQ(sum, 5050);
  all_ended();
}

TEST_F(channel, range_may_be_left_early) {
  auto ch = make_chan<int>(5);
  for (int i = 0; i < 5; i++) ch.send(i);
  for (int v : ch) {
    if (v == 2) break;
  }
  EXPECT_EQ(ch.len(), 2u);
}

TEST_F(channel, one_way_handles_are_the_same_channel) {
  auto ch = make_chan<int>(1);
  send_chan<int> tx = ch;
  recv_chan<int> rx = ch;
  tx.send(5);
  EXPECT_EQ(rx.len(), 1u);
  EXPECT_EQ(tx.cap(), 1u);
  EXPECT_EQ(rx.recv(), 5);
  tx.close();
  EXPECT_EQ(ch.recv(), std::nullopt);
  EXPECT_TRUE(tx == send_chan<int>(ch));
  EXPECT_TRUE(rx == recv_chan<int>(ch));
  static_assert(std::is_convertible_v<chan<int>, send_chan<int>> && std::is_convertible_v<chan<int>, recv_chan<int>>);
  static_assert(!std::is_convertible_v<send_chan<int>, chan<int>> && !std::is_constructible_v<recv_chan<int>, send_chan<int>>);
  static_assert(!std::is_constructible_v<chan<long>, chan<int>> && !std::is_constructible_v<send_chan<long>, chan<int>>);
}

TEST_F(channel, handles_compare_by_identity_and_move_to_nil) {
  auto a = make_chan<int>(), b = make_chan<int>(), c = a;
  EXPECT_TRUE(a == c);
  EXPECT_FALSE(a == b);
  EXPECT_TRUE(chan<int>() == chan<int>());
  chan<int> d = std::move(c);
  EXPECT_FALSE(static_cast<bool>(c));
  EXPECT_TRUE(d == a);
  c = std::move(d);
  EXPECT_TRUE(c == a);
  chan<int>& same = c;
  c = same;
  EXPECT_TRUE(c == a);
  static_assert(sizeof(chan<int>) == 2 * sizeof(void*) && sizeof(recv_chan<std::string>) == 2 * sizeof(void*));
  static constinit chan<int> global;
  EXPECT_FALSE(static_cast<bool>(global));
}

TEST_F(channel, outlives_the_handle_that_a_blocked_goroutine_does_not_use) {
  auto rx = [] {
    auto ch = make_chan<std::string>();
    go([ch] { ch.send("from a channel that nobody else holds"); });
    return recv_chan<std::string>(ch);
  }();
  EXPECT_EQ(rx.recv()->size(), 37u);
  all_ended();
}

TEST_F(channel, passes_every_value_once_between_many) {
  for (std::size_t capacity : {0u, 1u, 16u}) {
    constexpr int n = 2000, senders = 4;
    auto ch = make_chan<int>(capacity);
    std::vector<std::atomic<int>> seen(n * senders);
    wait_group sending, receiving;
    std::atomic<int> out_of_order{0};
    for (int s = 0; s < senders; s++) {
      sending.go([&, s] {
        for (int i = 0; i < n; i++) ch.send(s * n + i);
      });
      receiving.go([&] {
        std::vector<int> last(senders, -1);
        for (int v : ch) {
          seen[static_cast<std::size_t>(v)]++;
          int& before = last[static_cast<std::size_t>(v / n)];
          out_of_order += v % n <= before;  // one sender's values arrive at one receiver in order
          before = v % n;
        }
      });
    }
    sending.wait();
    ch.close();
    receiving.wait();
    int wrong = 0;
    for (auto& s : seen) wrong += s != 1;
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(out_of_order, 0);
  }
  all_ended();
}

// A pair that hands work to each other must not keep a third one out.
TEST_F(channel, ping_pong_does_not_starve_others) {
  int before = maxprocs(1);
  auto a = make_chan<int>(), b = make_chan<int>();
  std::atomic<bool> stop{false};
  std::atomic<int> third{0};
  go([&] {
    while (!stop.load()) a.send(1), b.recv();
    a.close();
  });
  go([&] {
    while (a.recv()) b.send(1);
  });
  go([&] {
    for (int i = 0; i < 100; i++) third++, yield();
    stop = true;
  });
  until([&] { return third == 100; });
  all_ended();
  maxprocs(before);
}

}  // namespace
}  // namespace stray
