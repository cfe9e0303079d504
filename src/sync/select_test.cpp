// select: one ready case at random, the default when there is none, the time-out when there is none for long; each waker wins one case.
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <stray/go.hpp>
#include <stray/select.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using stray::testing::until_parked;

std::size_t select_of(std::vector<select_case>& cases) { return select(std::span<select_case>(cases)); }

class selecting : public ::testing::Test {
 protected:
  void TearDown() override { all_ended(); }
};

TEST_F(selecting, answers_the_index_after_the_handler_has_run) {
  auto a = make_chan<int>(1), b = make_chan<int>(1);
  b.send(4);
  int got = 0, sent = 0;
  EXPECT_EQ(select(on_recv(a, [&] { got = -1; }), on_recv(b, [&](std::optional<int> v) { got = *v; })), 1u);
  EXPECT_EQ(got, 4);
  EXPECT_EQ(select(on_recv(b), on_default(), on_send(a, 9, [&] { sent++; })), 2u);
  EXPECT_EQ(sent, 1);
  EXPECT_EQ(a.recv(), 9);
}

TEST_F(selecting, takes_the_default_only_when_nothing_is_ready) {
  auto ch = make_chan<int>(1);
  int defaults = 0;
  EXPECT_EQ(select(on_recv(ch), on_default([&] { defaults++; })), 1u);
  EXPECT_EQ(defaults, 1);
  ch.send(1);
  EXPECT_EQ(select(on_default([&] { defaults++; }), on_send(ch, 2), on_recv(ch)), 2u);
  EXPECT_EQ(select(on_default()), 0u);
  EXPECT_EQ(defaults, 1);
}

TEST_F(selecting, takes_the_timeout_after_its_time) {
  auto ch = make_chan<int>();
  auto before = std::chrono::steady_clock::now();
  int hits = 0;
  EXPECT_EQ(select(on_recv(ch), on_timeout(10min), on_timeout(3ms, [&] { hits++; })), 2u);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
  EXPECT_EQ(hits, 1);
  EXPECT_EQ(select(on_recv(ch), on_timeout(0ms)), 1u);
  EXPECT_EQ(select(on_recv(ch), on_timeout(-5h)), 1u);
  EXPECT_EQ(select(on_timeout(1us)), 0u);
  std::atomic<int> chosen{-1};
  go([&] { chosen = static_cast<int>(select(on_send(ch, 1), on_timeout(2ms))); });
  until([&] { return chosen != -1; });
  EXPECT_EQ(chosen, 1);
  all_ended();
}

TEST_F(selecting, prefers_a_ready_case_to_a_timeout_of_nothing) {
  auto ch = make_chan<int>(1);
  ch.send(1);
  EXPECT_EQ(select(on_timeout(0ms), on_recv(ch)), 1u);
}

TEST_F(selecting, with_the_longest_timeout_waits) {
  for (int kind = 0; kind < 2; kind++) {
    auto ch = make_chan<int>();
    std::atomic<int> chosen{-1};
    go([&] {
      chosen = static_cast<int>(kind == 0 ? select(on_recv(ch), on_timeout(std::chrono::nanoseconds::max()))
                                          : select(on_recv(ch), on_timeout(std::chrono::hours::max())));
    });
    until([&] { return chosen != -1 || ch.try_send(1); });
    until([&] { return chosen != -1; });
    EXPECT_EQ(chosen, 0);
  }
  all_ended();
}

TEST_F(selecting, blocked_is_woken_by_each_kind_of_partner) {
  auto a = make_chan<int>(), b = make_chan<int>();
  std::atomic<int> chosen{-1}, got{0};
  auto start = [&] {
    chosen = -1;
    go([&] {
      chosen = static_cast<int>(select(on_recv(a, [&](std::optional<int> v) { got = v.value_or(-7); }), on_send(b, 5)));
    });
    until_parked(1);
  };
  start();
  a.send(3);
  until([&] { return chosen == 0; });
  EXPECT_EQ(got, 3);
  start();
  EXPECT_EQ(b.recv(), 5);
  until([&] { return chosen == 1; });
  start();
  EXPECT_TRUE(a.try_send(4));
  until([&] { return chosen == 0; });
  start();
  a.close();
  until([&] { return chosen == 0; });
  EXPECT_EQ(got, -7);
  std::optional<int> x;
  EXPECT_EQ(b.try_recv(x), chan_status::would_block) << "a losing case was left in the queue";
  all_ended();
}

TEST_F(selecting, of_a_closed_channel_is_ready) {
  auto ch = make_chan<int>(), open = make_chan<int>();
  ch.close();
  std::optional<int> v = 1;
  EXPECT_EQ(select(on_recv(open), on_recv(ch, [&](std::optional<int> x) { v = x; })), 1u);
  EXPECT_EQ(v, std::nullopt);
  EXPECT_EQ(panic_of([&] { select(on_recv(open), on_send(ch, 1)); }), "send on closed channel");
  std::atomic<bool> panicked{false};
  auto later = make_chan<int>();
  go([&] { panicked = panic_of([&] { select(on_send(later, 1), on_recv(open)); }) == "send on closed channel"; });
  until_parked(1);
  later.close();
  until([&] { return panicked.load(); });
  EXPECT_FALSE(open.try_send(1));
  all_ended();
}

TEST_F(selecting, passes_over_nil_channels) {
  chan<int> nil;
  auto ch = make_chan<int>(1);
  EXPECT_EQ(select(on_recv(nil), on_send(nil, 1), on_default()), 2u);
  EXPECT_EQ(select(on_recv(nil), on_send(ch, 1), on_send(nil, 2)), 1u);
  EXPECT_EQ(select(on_recv(nil), on_timeout(1ms)), 1u);
}

TEST_F(selecting, of_void_channels) {
  auto a = make_chan<void>(1), b = make_chan<void>();
  bool ok = false;
  EXPECT_EQ(select(on_recv(b), on_send(a)), 1u);
  EXPECT_EQ(select(on_recv(b), on_recv(a, [&](bool r) { ok = r; })), 1u);
  EXPECT_TRUE(ok);
  b.close();
  EXPECT_EQ(select(on_recv(a), on_recv(b, [&](bool r) { ok = r; })), 1u);
  EXPECT_FALSE(ok);
}

TEST_F(selecting, the_same_channel_twice_serves_both_cases) {
  auto ch = make_chan<int>();
  std::array<std::atomic<int>, 2> hits{};
  go([&] {
    for (int i = 0; i < 200; i++) hits[select(on_recv(ch), on_recv(ch))]++;
  });
  for (int i = 0; i < 200; i++) ch.send(i);
  all_ended();
  EXPECT_EQ(hits[0] + hits[1], 200);
  auto full = make_chan<int>(200);
  std::array<int, 2> ready{};
  for (int i = 0; i < 200; i++) full.send(i);
  for (int i = 0; i < 200; i++) ready[select(on_recv(full), on_recv(full))]++;
  EXPECT_GT(ready[0], 50);
  EXPECT_GT(ready[1], 50);
  all_ended();
}

TEST_F(selecting, send_and_receive_of_one_channel_never_meet_themselves) {
  auto ch = make_chan<int>();
  EXPECT_EQ(select(on_send(ch, 1), on_recv(ch), on_default()), 2u);
  std::atomic<int> chosen{-1}, got{0};
  go([&] { chosen = static_cast<int>(select(on_send(ch, 1), on_recv(ch, [&](std::optional<int> v) { got = *v; }))); });
  until_parked(1);
  EXPECT_EQ(chosen, -1);
  ch.send(2);
  until([&] { return chosen == 1; });
  EXPECT_EQ(got, 2);
  std::atomic<int> sum{0}, sent{0};  // two that do both meet each other
  for (int g = 0; g < 2; g++) {
    go([&] {
      for (int i = 0; i < 500; i++) {
        if (select(on_send(ch, 1), on_recv(ch, [&](std::optional<int> v) { sum += *v; })) == 0) sent++;
      }
    });
  }
  all_ended();
  EXPECT_EQ(sum, 500);
  EXPECT_EQ(sent, 500);
}

// Among ready cases each is taken as often as any other, within five standard deviations.
TEST_F(selecting, is_fair) {
  constexpr std::size_t n = 4, rounds = 8000;
  std::array<chan<int>, n> ch;
  for (auto& c : ch) c = make_chan<int>(1), c.send(0);
  std::array<std::size_t, n> taken{}, taken_dynamic{};
  for (std::size_t i = 0; i < rounds; i++) {
    std::size_t k = select(on_recv(ch[0]), on_recv(ch[1]), on_recv(ch[2]), on_recv(ch[3]));
    taken[k]++;
    ch[k].send(0);
    std::vector<select_case> cases;
    for (auto& c : ch) cases.push_back(on_recv(c));
    k = select_of(cases);
    taken_dynamic[k]++;
    ch[k].send(0);
  }
  double mean = static_cast<double>(rounds) / n, sigma = std::sqrt(rounds * (1.0 / n) * (1 - 1.0 / n));
  for (std::size_t k = 0; k < n; k++) {
    EXPECT_NEAR(static_cast<double>(taken[k]), mean, 5 * sigma);
    EXPECT_NEAR(static_cast<double>(taken_dynamic[k]), mean, 5 * sigma);
  }
}

TEST_F(selecting, dynamic_takes_every_kind_of_case) {
  auto a = make_chan<int>(1), b = make_chan<int>();
  auto p = make_chan<std::unique_ptr<int>>(1);
  int got = 0;
  std::vector<select_case> cases;
  cases.push_back(on_recv(a, [&](std::optional<int> v) { got = *v; }));
  cases.push_back(on_recv(b));
  cases.push_back(on_timeout(1h));
  cases.push_back(on_timeout(1ms));
  EXPECT_EQ(select_of(cases), 3u);
  a.send(6);
  EXPECT_EQ(select_of(cases), 0u);  // no case is used up
  a.send(7);
  EXPECT_EQ(select_of(cases), 0u);
  EXPECT_EQ(got, 7);
  cases.push_back(on_send(p, std::make_unique<int>(5)));
  EXPECT_EQ(select_of(cases), 4u);
  EXPECT_EQ(**p.recv(), 5);
  std::vector<select_case> fallback;
  fallback.push_back(on_recv(b));
  fallback.push_back(on_default());
  EXPECT_EQ(select_of(fallback), 1u);
}

TEST_F(selecting, a_send_case_that_fired_panics_when_chosen_again) {
  auto ch = make_chan<int>(2), other = make_chan<int>(1);
  std::vector<select_case> cases;
  cases.push_back(on_send(ch, 1));
  cases.push_back(on_recv(other));
  EXPECT_EQ(select_of(cases), 0u);
  EXPECT_EQ(panic_of([&] { select_of(cases); }), "select: send case was already sent");
  ch.send(2);  // full: the empty case cannot go, the other one can
  other.send(3);
  EXPECT_EQ(select_of(cases), 1u);
  auto reused = on_send(other, 4);
  EXPECT_EQ(select(reused), 0u);
  other.recv();
  EXPECT_EQ(panic_of([&] { select(reused); }), "select: send case was already sent");
  EXPECT_EQ(other.len(), 0u);
  EXPECT_EQ(ch.recv(), 1);
}

TEST_F(selecting, without_cases_blocks_for_ever) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto body = [] {
    std::atomic<int> through{0};
    std::vector<select_case> none;
    go([&] { select(), through++; });
    go([&] { select_of(none), through++; });
    go([&] { select(on_recv(chan<int>())), through++; });
    until_parked(3);
    std::_Exit(through);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "^$");
}

// `width` cases in each of `selectors` goroutines, fed one by one.
void wide(std::size_t width, std::size_t selectors) {
  std::vector<chan<int>> ch;
  for (std::size_t i = 0; i < width; i++) ch.push_back(make_chan<int>());
  std::atomic<int> wrong{0};
  std::atomic<std::size_t> ended{0};
  for (std::size_t g = 0; g < selectors; g++) {
    go({.stack_size = 1 << 20}, [&] {
      try {
        std::vector<select_case> cases;
        int value = -1;
        for (auto& c : ch) cases.push_back(on_recv(c, [&](std::optional<int> v) { value = *v; }));
        std::size_t k = select_of(cases);
        wrong += value != static_cast<int>(k);
      } catch (const std::exception&) {
        wrong++;
      }
      ended++;
    });
  }
  until([&] {
    for (std::size_t i = 0; i < width; i += 1 + width / 7) ch[i].try_send(static_cast<int>(i));
    return ended == selectors;
  });
  EXPECT_EQ(wrong, 0) << "with " << width << " cases, " << selectors << " selects";
}
TEST_F(selecting, over_hundreds_of_cases) {
  for (std::size_t width : {1u, 4u, 5u, 16u, 17u, 256u, 257u, 1000u}) wide(width, 3);
}
TEST_F(selecting, over_hundreds_of_cases_by_a_hundred_goroutines) { wide(300, 100); }

TEST_F(selecting, moves_every_value_once_under_load) {
  constexpr int n = 3000;
  std::array<chan<int>, 3> ch{make_chan<int>(), make_chan<int>(1), make_chan<int>(8)};
  auto quit = make_chan<void>();
  std::atomic<long> sum{0}, count{0};
  wait_group senders, receivers;
  for (int s = 0; s < 3; s++) {
    senders.go([&] {
      for (int i = 0; i < n; i++) select(on_send(ch[0], i), on_send(ch[1], i), on_send(ch[2], i), on_timeout(1h));
    });
    receivers.go([&] {
      auto take = [&](std::optional<int> v) { sum += *v, count++; };
      while (select(on_recv(ch[0], take), on_recv(ch[1], take), on_recv(ch[2], take), on_recv(quit)) != 3) {
      }
    });
  }
  senders.wait();
  until([&] { return count == 3 * n; });
  quit.close();
  receivers.wait();
  EXPECT_EQ(sum, 3L * n * (n - 1) / 2);
  all_ended();
}

}  // namespace
}  // namespace stray
