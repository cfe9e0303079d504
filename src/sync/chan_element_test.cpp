// What a channel may carry, and how often each value is moved and destroyed: made once, destroyed once, touched only on success, without
// exceptions under the lock.
#include <any>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/select.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using stray::testing::until_parked;

// Counts its instances; the second kind travels in a box.
template <bool Nothrow>
struct counted {
  static inline std::atomic<int> live{0};
  int value = 0;
  explicit counted(int v) : value(v) { live++; }
  counted(const counted& other) : value(other.value) { live++; }
  counted(counted&& other) noexcept(Nothrow) : value(std::exchange(other.value, -1)) { live++; }
  counted& operator=(const counted&) = default;
  counted& operator=(counted&& other) noexcept(Nothrow) {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~counted() { live--; }
};
using plain = counted<true>;
using boxed = counted<false>;
static_assert(!detail::carrier<plain>::boxed && detail::carrier<boxed>::boxed);

template <class T>
class elements : public ::testing::Test {
 protected:
  void TearDown() override {
    all_ended();
    EXPECT_EQ(T::live, 0);
  }
};
using kinds = ::testing::Types<plain, boxed>;
TYPED_TEST_SUITE(elements, kinds);

TYPED_TEST(elements, are_destroyed_once_when_received) {
  using T = TypeParam;
  for (std::size_t capacity : {0u, 1u, 4u}) {
    auto ch = make_chan<T>(capacity);
    go([ch] {
      for (int i = 0; i < 20; i++)
        i % 2 == 0 ? ch.send(T(i)) : [&] {
          T v(i);
          ch.send(v);
        }();
      ch.close();
    });
    int next = 0, wrong = 0;
    for (T& v : ch) wrong += v.value != next++;
    EXPECT_EQ(next, 20);
    EXPECT_EQ(wrong, 0);
    all_ended();
    EXPECT_EQ(T::live, 0);
  }
}

TYPED_TEST(elements, are_destroyed_once_when_left_in_the_buffer) {
  using T = TypeParam;
  {
    auto ch = make_chan<T>(3);
    for (int i = 0; i < 3; i++) ch.send(T(i));
    EXPECT_EQ(ch.recv()->value, 0);
    ch.send(T(3));  // wrapped round
    EXPECT_EQ(T::live, 3);
  }
  EXPECT_EQ(T::live, 0);
  {
    auto ch = make_chan<T>(3);
    ch.send(T(1));
    ch.close();
  }
  EXPECT_EQ(T::live, 0);
}

TYPED_TEST(elements, are_left_alone_by_what_fails) {
  using T = TypeParam;
  auto ch = make_chan<T>(1);
  T mine(5);
  ch.send(T(0));
  EXPECT_FALSE(ch.try_send(std::move(mine)));
  EXPECT_EQ(mine.value, 5);
  EXPECT_FALSE(ch.try_send(mine));
  EXPECT_EQ(mine.value, 5);
  EXPECT_FALSE(chan<T>().try_send(std::move(mine)));
  EXPECT_EQ(mine.value, 5);
  ch.close();
  EXPECT_THROW(ch.send(std::move(mine)), panic);
  EXPECT_EQ(mine.value, 5);
  EXPECT_THROW(ch.try_send(std::move(mine)), panic);
  EXPECT_EQ(mine.value, 5);
}

TYPED_TEST(elements, of_a_sender_woken_by_close_are_left_alone) {
  using T = TypeParam;
  auto ch = make_chan<T>();
  std::atomic<int> left{0};
  go([&] {
    T mine(6);
    try {
      ch.send(std::move(mine));
    } catch (const panic&) {
      left = mine.value;
    }
  });
  until_parked(1);
  ch.close();
  until([&] { return left != 0; });
  EXPECT_EQ(left, 6);
  all_ended();
}

TYPED_TEST(elements, of_select_cases_are_destroyed_once) {
  using T = TypeParam;
  auto ch = make_chan<T>(1), other = make_chan<T>();
  int got = 0;
  EXPECT_EQ(select(on_recv(other), on_send(ch, T(7))), 1u);
  EXPECT_EQ(select(on_recv(other), on_recv(ch, [&](std::optional<T> v) { got = v->value; })), 1u);
  EXPECT_EQ(got, 7);
  EXPECT_EQ(select(on_send(other, T(8)), on_default()), 1u);
  T kept(9);
  EXPECT_EQ(select(on_send(other, kept), on_default()), 1u);
  EXPECT_EQ(kept.value, 9);
  std::vector<select_case> cases;
  cases.push_back(on_send(ch, T(10)));
  cases.push_back(on_recv(other));
  EXPECT_EQ(select(std::span<select_case>(cases)), 0u);
  EXPECT_EQ(ch.recv()->value, 10);
}

// A move that throws when told to.
struct throwing {
  static inline std::atomic<int> live{0}, fuse{-1};  // fuse: so many moves until one throws
  int value;
  explicit throwing(int v) : value(v) { live++; }
  throwing(throwing&& other) : value(other.value) {
    if (fuse >= 0 && fuse-- == 0) throw std::runtime_error("move");
    other.value = -1;
    live++;
  }
  throwing& operator=(throwing&& other) {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~throwing() { live--; }
};

TEST(throwing_moves, happen_outside_the_channel) {
  auto ch = make_chan<throwing>(2);
  ch.send(throwing(1));
  ch.send(throwing(2));
  throwing::fuse = 0;
  EXPECT_THROW(ch.recv(), std::runtime_error);  // the value is consumed
  throwing::fuse = -1;
  EXPECT_EQ(ch.len(), 1u);
  EXPECT_EQ(ch.recv()->value, 2);
  throwing mine(3);
  throwing::fuse = 0;
  EXPECT_THROW(ch.send(std::move(mine)), std::runtime_error);
  throwing::fuse = -1;
  EXPECT_EQ(ch.len(), 0u);
  EXPECT_EQ(mine.value, 3);
  std::optional<throwing> out;
  EXPECT_EQ(ch.try_recv(out), chan_status::would_block);
  ch.close();
}

// Move-only and in a box: what fails must give the value back.
TEST(throwing_moves, leave_a_move_only_value_alone_when_nothing_is_sent) {
  auto ch = make_chan<throwing>(1);
  throwing mine(4);
  ch.send(throwing(0));
  EXPECT_FALSE(ch.try_send(std::move(mine)));
  EXPECT_EQ(mine.value, 4);
  ch.close();
  EXPECT_THROW(ch.try_send(std::move(mine)), panic);
  EXPECT_EQ(mine.value, 4) << "try_send on a closed channel";
  mine.value = 4;
  EXPECT_THROW(ch.send(std::move(mine)), panic);
  EXPECT_EQ(mine.value, 4) << "send on a closed channel";
}
// A case that stays can be used again, and what threw has been destroyed once.
TEST(throwing_moves, end_the_value_in_a_case_that_stays) {
  const int before = throwing::live;
  auto ch = make_chan<throwing>(1);
  std::vector<select_case> cases;
  int got = 0;
  cases.push_back(on_recv(ch, [&](std::optional<throwing> v) { got = v->value; }));
  ch.send(throwing(1));
  throwing::fuse = 0;
  EXPECT_THROW(select(std::span<select_case>(cases)), std::runtime_error);
  throwing::fuse = -1;
  EXPECT_EQ(throwing::live, before);
  ch.send(throwing(2));
  EXPECT_EQ(select(std::span<select_case>(cases)), 0u);
  EXPECT_EQ(got, 2);
  EXPECT_EQ(throwing::live, before);
}
TEST(throwing_moves, leave_nothing_behind) { EXPECT_EQ(throwing::live, 0); }

TEST(element, may_be_move_only) {
  auto ch = make_chan<std::unique_ptr<int>>(1);
  auto p = std::make_unique<int>(3);
  int* raw = p.get();
  ch.send(std::move(p));
  EXPECT_EQ(p, nullptr);
  auto q = std::make_unique<int>(4);
  EXPECT_FALSE(ch.try_send(std::move(q)));
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(ch.recv()->get(), raw);
  EXPECT_TRUE(ch.try_send(std::move(q)));
  EXPECT_EQ(q, nullptr);
}

TEST(element, may_be_over_aligned) {
  struct alignas(128) wide {
    std::array<char, 200> bytes{};
    bool aligned = true;
    wide() : aligned(reinterpret_cast<std::uintptr_t>(this) % 128 == 0) {}
    wide(const wide& o) noexcept : bytes(o.bytes), aligned(o.aligned && reinterpret_cast<std::uintptr_t>(this) % 128 == 0) {}
    wide& operator=(const wide&) = default;
  };
  for (std::size_t capacity : {0u, 5u}) {
    auto ch = make_chan<wide>(capacity);
    go([ch] {
      for (int i = 0; i < 12; i++) ch.send(wide());
      ch.close();
    });
    int n = 0, crooked = 0;
    for (wide& w : ch) n++, crooked += !w.aligned;
    EXPECT_EQ(n, 12);
    EXPECT_EQ(crooked, 0);
  }
  all_ended();
}

TEST(element, may_be_large_or_empty) {
  struct big {
    std::array<int, 4000> a{};
  };
  auto ch = make_chan<big>(2);
  auto b = std::make_unique<big>();
  b->a[3999] = 7;
  ch.send(*b);
  EXPECT_EQ(ch.recv()->a[3999], 7);
  struct empty {};
  auto none = make_chan<empty>(1);
  none.send(empty());
  EXPECT_FALSE(none.try_send(empty()));
  EXPECT_TRUE(none.recv().has_value());
  auto flags = make_chan<bool>(1);
  flags.send(true);
  EXPECT_EQ(flags.recv(), true);
}

TEST(element, may_be_a_channel) {
  auto outer = make_chan<chan<int>>(1);
  {
    auto inner = make_chan<int>(1);
    inner.send(9);
    outer.send(std::move(inner));
  }
  EXPECT_EQ(outer.recv()->recv(), 9);
  auto replies = make_chan<send_chan<int>>();
  go([replies] {
    while (auto reply = replies.recv()) reply->send(11);
  });
  auto answer = make_chan<int>();
  replies.send(answer);
  EXPECT_EQ(answer.recv(), 11);
  replies.close();
  all_ended();
}

TEST(element, is_converted_when_sent) {
  auto any = make_chan<std::any>(4);
  any.send(5);
  EXPECT_TRUE(any.try_send(std::string("six")));
  EXPECT_EQ(select(on_send(any, 7.5)), 0u);
  EXPECT_EQ(select(on_send(any, 'c'), on_default()), 0u);
  EXPECT_EQ(std::any_cast<int>(*any.recv()), 5);
  EXPECT_EQ(std::any_cast<std::string>(*any.recv()), "six");
  EXPECT_EQ(std::any_cast<double>(*any.recv()), 7.5);
  EXPECT_EQ(std::any_cast<char>(*any.recv()), 'c');
  auto work = make_chan<std::function<int()>>();
  go([work] { work.send([] { return 8; }); });
  EXPECT_EQ((*work.recv())(), 8);
  auto wide = make_chan<long>(1);
  EXPECT_EQ(select(on_send(wide, 5)), 0u);
  EXPECT_EQ(wide.recv(), 5);
  auto text = make_chan<std::string>(1);
  text.send("a literal");
  EXPECT_EQ(text.recv(), "a literal");
  all_ended();
}

// Destructors run outside the lock: they may use channels, even this one.
struct closes {
  chan<void> at_end;
  explicit closes(chan<void> c) : at_end(std::move(c)) {}
  closes(closes&&) noexcept = default;
  closes& operator=(closes&&) noexcept = default;
  ~closes() {
    if (at_end) at_end.close();
  }
};
TEST(element_destructor, may_close_another_channel) {
  auto done = make_chan<void>(), done_too = make_chan<void>();
  {
    auto ch = make_chan<closes>(2);
    ch.send(closes(done));
    ch.send(closes(done_too));
    ch.recv();
    EXPECT_EQ(done.try_recv(), chan_status::closed);
    EXPECT_EQ(done_too.try_recv(), chan_status::would_block);
  }
  EXPECT_EQ(done_too.try_recv(), chan_status::closed);
}

// Also that of the husk which a move leaves in the buffer.
struct asks {
  static inline chan<asks>* channel = nullptr;
  static inline std::atomic<int> answered{0};
  asks() = default;
  asks(asks&&) noexcept {}
  asks& operator=(asks&&) noexcept { return *this; }
  ~asks() {
    if (channel != nullptr && channel->len() <= 4) answered++;
  }
};
TEST(element_destructor, may_ask_the_channel_it_was_in) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto body = [] {  // a process of its own, with a time limit: where the lock is held this never returns
    alarm(10);
    auto ch = make_chan<asks>(2);
    asks::channel = &ch;
    ch.send(asks());
    ch.recv();
    asks::channel = nullptr;
    std::_Exit(asks::answered > 0 ? 0 : 1);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "");
}

// A worker in a loop keeps nothing of what it has had: no owner, and no word of a plain pointer.
TEST(range_for, lets_go_of_an_element_before_it_waits_for_the_next) {
  auto owners = make_chan<std::shared_ptr<int>>();
  auto pointers = make_chan<int*>();
  go([owners] {
    for (std::shared_ptr<int> p : owners) static_cast<void>(p);
  });
  auto value = std::make_shared<int>(1);
  owners.send(value);
  until_parked(1);
  EXPECT_EQ(value.use_count(), 1);
  owners.close();
  detail::recv_iterator<int*> it;
  wait_group done;
  done.add(1);
  go([&] {
    it = pointers.begin();
    ++it;
    done.done();
  });
  int* first = new int(7);
  pointers.send(first);
  until_parked(1);  // in ++it: the send has ended begin()
  const auto* bytes = reinterpret_cast<const unsigned char*>(&it);
  bool found = false;
  for (std::size_t i = 0; i + sizeof first <= sizeof it; i++)
    found = found || std::memcmp(bytes + i, &first, sizeof first) == 0;
  pointers.close();
  done.wait();
  EXPECT_FALSE(found);
  delete first;
}

}  // namespace
}  // namespace stray
