// The rules of channels at every size of the buffer, for elements that are copied as bytes and for those with a destructor (whose places are
// emptied outside the lock).
#include <atomic>
#include <cstddef>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using stray::testing::until_parked;

template <class T>
T made(int n) {
  if constexpr (std::is_same_v<T, int>) {
    return n;
  } else {
    return std::to_string(n);
  }
}
int number(int n) { return n; }
int number(const std::string& s) { return std::stoi(s); }

template <class T>
chan<T> full(std::size_t size) {
  auto ch = make_chan<T>(size);
  for (std::size_t i = 0; i < size; i++) ch.send(made<T>(static_cast<int>(i)));
  return ch;
}

template <class T>
void empty_blocks(std::size_t size) {
  auto ch = make_chan<T>(size);
  EXPECT_EQ(ch.len(), 0u);
  EXPECT_EQ(ch.cap(), size);
  std::atomic<int> got{0};
  for (int i = 0; i < 2; i++) go([&] { got += number(*ch.recv()); });
  until_parked(2);
  EXPECT_EQ(got, 0);
  std::optional<T> none;
  EXPECT_EQ(ch.try_recv(none), chan_status::would_block);
  ch.send(made<T>(3));
  ch.send(made<T>(4));
  until([&] { return got == 7; });
  EXPECT_EQ(ch.len(), 0u);
  all_ended();
}

template <class T>
void full_blocks(std::size_t size) {
  chan<T> ch = full<T>(size);
  EXPECT_EQ(ch.len(), size);
  std::atomic<bool> sent{false};
  go([&] {
    ch.send(made<T>(static_cast<int>(size)));
    sent = true;
  });
  until_parked(1);
  EXPECT_FALSE(sent);
  EXPECT_FALSE(size > 0 && ch.try_send(made<T>(-1)));
  for (std::size_t i = 0; i <= size; i++) EXPECT_EQ(number(*ch.recv()), static_cast<int>(i));
  until([&] { return sent.load(); });
  EXPECT_EQ(ch.len(), 0u);
  all_ended();
}

template <class T>
void close_drains_and_wakes(std::size_t size) {
  chan<T> ch = full<T>(size);
  ch.close();
  for (std::size_t i = 0; i < size; i++) EXPECT_EQ(number(*ch.recv()), static_cast<int>(i));
  EXPECT_FALSE(ch.recv().has_value());
  auto empty = make_chan<T>(size);
  chan<T> crowded = full<T>(size);
  std::atomic<int> nothing{0}, panics{0};
  go([&] { nothing += !empty.recv().has_value(); });
  go([&] {
    try {
      crowded.send(made<T>(-1));
    } catch (const panic&) {
      panics++;
    }
  });
  until_parked(2);
  empty.close();
  crowded.close();
  until([&] { return nothing == 1 && panics == 1; });
  for (std::size_t i = 0; i < size; i++) EXPECT_EQ(number(*crowded.recv()), static_cast<int>(i));
  EXPECT_FALSE(crowded.recv().has_value());
  all_ended();
}

template <class T>
void many_to_many(std::size_t size) {
  constexpr int n = 100, parties = 4;
  auto ch = make_chan<T>(size);
  std::vector<std::atomic<int>> seen(n);
  wait_group group;
  for (int p = 0; p < parties; p++) {
    group.go([&] {
      for (int i = 0; i < n; i++) ch.send(made<T>(i));
    });
    group.go([&] {
      for (int i = 0; i < n; i++) seen[static_cast<std::size_t>(number(*ch.recv()))]++;
    });
  }
  group.wait();
  int wrong = 0;
  for (auto& s : seen) wrong += s != parties;
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(ch.len(), 0u);
}

template <class T>
void every_rule() {
  for (std::size_t size = 0; size < 20; size++) {
    SCOPED_TRACE(size);
    empty_blocks<T>(size);
    full_blocks<T>(size);
    close_drains_and_wakes<T>(size);
    many_to_many<T>(size);
  }
  all_ended();
}
TEST(channel_size, any_keeps_every_rule) { every_rule<int>(); }
TEST(channel_size, any_keeps_every_rule_for_elements_with_a_destructor) { every_rule<std::string>(); }

// Each filter is a goroutine that lets through what its prime does not divide; close travels down the chain and ends them all.
TEST(channel_size, a_chain_of_filters_finds_the_primes) {
  for (std::size_t size : {0u, 1u, 16u}) {
    auto in = make_chan<int>(size);
    go([in] {
      for (int i = 2; i < 500; i++) in.send(i);
      in.close();
    });
    std::vector<int> primes;
    recv_chan<int> from = in;
    while (std::optional<int> prime = from.recv()) {
      primes.push_back(*prime);
      auto out = make_chan<int>(size);
      go([from, out, p = *prime] {
        for (int v : from) {
          if (v % p != 0) out.send(v);
        }
        out.close();
      });
      from = out;
    }
    EXPECT_EQ(primes.size(), 95u);
    EXPECT_EQ(primes.back(), 499);
    all_ended();
  }
}

}  // namespace
}  // namespace stray
