// What a try operation or a select answers holds at one moment, while others send, receive and close; and a select takes one case.
#include <array>
#include <atomic>
#include <cstddef>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/select.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

class channel_race : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = maxprocs(GetParam()); }
  void TearDown() override {
    all_ended();
    maxprocs(before_);
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, channel_race, ::testing::Values(1, 2, 4, 8),
                         [](const auto& p) { return std::to_string(p.param); });

// It holds a value until it is closed: a receive gets the one or the other.
template <class T>
int looks_empty() {
  std::atomic<int> wrong{0};
  for (int round = 0; round < 2000; round++) {
    auto ch = make_chan<T>(1);
    ch.send(T(1, 'x'));
    wait_group group;
    group.go([&, round] {
      std::optional<T> v;
      if (round % 2 == 0) {
        wrong += ch.try_recv(v) == chan_status::would_block;
      } else {
        wrong += select(on_recv(ch), on_default()) == 1;
      }
    });
    ch.close();
    ch.recv();
    group.wait();
  }
  return wrong;
}
TEST_P(channel_race, what_always_has_something_never_looks_empty) {
  struct pair {
    pair(int, char) {}
  };
  EXPECT_EQ(looks_empty<pair>(), 0);
  EXPECT_EQ(looks_empty<std::string>(), 0);
}

// The first is ready until the second is, so one of them always is.
TEST_P(channel_race, select_sees_one_moment) {
  std::atomic<int> defaults{0};
  for (int round = 0; round < 3000; round++) {
    auto first = make_chan<int>(1), second = make_chan<int>(1);
    first.send(1);
    wait_group group;
    group.go([&, round] {
      if (round % 4 < 2) {
        defaults += select(on_recv(first), on_recv(second), on_default()) == 2;
      } else {
        defaults += select(on_default(), on_recv(second), on_recv(first)) == 0;
      }
    });
    round % 2 == 0 ? second.send(1) : second.close();
    std::optional<int> v;
    first.try_recv(v);
    group.wait();
  }
  EXPECT_EQ(defaults, 0);
}

TEST_P(channel_race, select_takes_one_case) {
  constexpr int n = 3000;
  std::array<chan<int>, 4> ways;
  for (auto& way : ways) way = make_chan<int>();
  auto together = make_chan<int>();
  wait_group forwarders;
  for (auto& way : ways) {
    forwarders.go([way, together] {
      for (int v : way) together.send(v);
    });
  }
  go([ways] {
    for (int i = 0; i < n; i++) select(on_send(ways[0], i), on_send(ways[1], i), on_send(ways[2], i), on_send(ways[3], i));
    for (const auto& way : ways) way.close();
  });
  go([&forwarders, together] {
    forwarders.wait();
    together.close();
  });
  std::vector<int> seen(n);
  for (int v : together) seen[static_cast<std::size_t>(v)]++;
  int wrong = 0;
  for (int s : seen) wrong += s != 1;
  EXPECT_EQ(wrong, 0);
  all_ended();
}

TEST_P(channel_race, two_that_send_and_receive_on_one_channel_never_meet_themselves) {
  for (std::size_t capacity : {0u, 10u}) {
    auto ch = make_chan<int>(capacity);
    std::atomic<int> own{0}, sent{0}, received{0};
    wait_group group;
    for (int me = 0; me < 2; me++) {
      group.go([&, me] {
        auto take = [&](std::optional<int> v) { own += *v == me, received++; };
        auto gave = [&] { sent++; };
        for (int i = 0; i < 1000; i++) {
          if (me == 0 || i % 2 == 0) {
            select(on_send(ch, me, gave), on_recv(ch, take));
          } else {
            select(on_recv(ch, take), on_send(ch, me, gave));
          }
        }
      });
    }
    group.wait();
    if (capacity == 0) {
      EXPECT_EQ(own, 0);
    }
    EXPECT_EQ(sent - received, static_cast<int>(ch.len()));
  }
}

// One plain sender and one plain receiver a channel, beside one select that sends n values on each and one that receives as many.
TEST_P(channel_race, counts_add_up_while_cases_turn_nil) {
  constexpr int n = 500;
  const std::array<chan<int>, 4> all{make_chan<int>(), make_chan<int>(), make_chan<int>(2), make_chan<int>(3)};
  wait_group group;
  for (const auto& ch : all) {
    group.go([ch] {
      for (int i = 0; i < n; i++) ch.send(0);
    });
    group.go([ch] {
      for (int i = 0; i < n; i++) ch.recv();
    });
  }
  group.go([all] {
    std::array<chan<int>, 4> left = all;
    std::array<int, 4> sent{};
    for (int i = 0; i < 4 * n; i++) {
      std::size_t k = 3 - select(on_send(left[3], 0), on_send(left[2], 0), on_send(left[1], 0), on_send(left[0], 0));
      if (++sent[k] == n) left[k] = {};
    }
  });
  group.go([all] {
    std::array<chan<int>, 4> left = all;
    std::array<int, 4> received{};
    for (int i = 0; i < 4 * n; i++) {
      std::size_t k = select(on_recv(left[0]), on_recv(left[1]), on_recv(left[2]), on_recv(left[3]));
      if (++received[k] == n) left[k] = {};
    }
  });
  group.wait();
  for (const auto& ch : all) EXPECT_EQ(ch.len(), 0u);
}

}  // namespace
}  // namespace stray
