// What the library is given it lets go in time: a pointer to the only owner of a channel passes through each operation, between things that
// stay reachable, and the goroutine that waits for that channel is proven at once. docs/design/what-memory-holds.md has the table.
#include <any>
#include <array>
#include <string>
#include <thread>

#include "scene.hpp"

namespace {

using namespace ablation;
using namespace std::chrono_literals;
using stray::chan;
using stray::make_chan;

void expect_let_go(const std::function<void(holder*)>& pass) {
  start_owner([&](holder* h) {
    hand(h);
    pass(h);
    clear_dead_stack();
  });
  EXPECT_EQ(verdict(), tier::proven);
  unmask()->ch.close();
  until_all_ended();
}

// Kinds of elements: how each travels, and whether its slot has a destructor.
struct trivial {
  std::uint64_t before = 1;
  holder* raw = nullptr;
  char tail[40] = {};
};
struct destroyed {  // what it has been moved from keeps the pointer
  holder* raw = nullptr;
  std::string text = "text";
};
struct boxed {  // its move may throw
  holder* raw = nullptr;
  boxed() = default;
  explicit boxed(holder* h) : raw(h) {}
  boxed(const boxed&) = default;
  boxed(boxed&& other) noexcept(false) : raw(other.raw) {}
  boxed& operator=(const boxed&) = default;
};
struct alignas(64) aligned {
  holder* raw = nullptr;
};

template <class T>
T element_of(holder* h) {
  if constexpr (std::is_same_v<T, trivial>) {
    return {1, h, {}};
  } else if constexpr (std::is_same_v<T, std::unique_ptr<holder*>>) {
    return std::make_unique<holder*>(h);
  } else {
    return T{h};
  }
}

template <class T>
class kept_element : public testing::Test {};
using elements = testing::Types<holder*, trivial, destroyed, boxed, aligned, std::unique_ptr<holder*>>;
TYPED_TEST_SUITE(kept_element, elements);

TYPED_TEST(kept_element, in_a_buffer) {
  static auto q = make_chan<TypeParam>(4);
  expect_let_go([](holder* h) {
    q.send(element_of<TypeParam>(h));
    q.recv();
  });
}

TYPED_TEST(kept_element, in_a_full_buffer_with_a_waiting_sender) {
  static auto q = make_chan<TypeParam>(1);
  expect_let_go([](holder* h) {
    q.send(TypeParam());
    stray::wait_group sender;
    sender.go([h] { q.send(element_of<TypeParam>(h)); });
    stray::testing::until_parked(1);
    q.recv();
    q.recv();
    sender.wait();
  });
}

TYPED_TEST(kept_element, handed_over) {
  static auto q = make_chan<TypeParam>();
  expect_let_go([](holder* h) {
    stray::wait_group receiver;
    receiver.go([] { q.recv(); });
    q.send(element_of<TypeParam>(h));
    receiver.wait();
  });
}

TYPED_TEST(kept_element, tried) {
  static auto q = make_chan<TypeParam>(1);
  expect_let_go([](holder* h) {
    q.try_send(element_of<TypeParam>(h));
    q.try_send(element_of<TypeParam>(h));  // no room
    std::optional<TypeParam> out;
    q.try_recv(out);
  });
}

TYPED_TEST(kept_element, in_a_closed_channel_that_was_drained) {
  static chan<TypeParam> q;
  q = make_chan<TypeParam>(2);
  expect_let_go([](holder* h) {
    q.send(element_of<TypeParam>(h));
    q.send(element_of<TypeParam>(h));
    q.close();
    for (TypeParam& e : q) static_cast<void>(e);
  });
}

TYPED_TEST(kept_element, selected) {
  static auto q = make_chan<TypeParam>(1);
  expect_let_go([](holder* h) {
    stray::select(stray::on_send(q, element_of<TypeParam>(h)));
    stray::select(stray::on_send(q, element_of<TypeParam>(h)), stray::on_default());
    stray::select(stray::on_recv(q, [](std::optional<TypeParam>) {}));
  });
}

// A move that copies (a const member) leaves the value in its place: what the handler has is the only one all the same.
TEST(kept_by_select, nothing_beside_a_handler) {
  struct message {
    const std::shared_ptr<int> owner;
  };
  auto q = make_chan<message>(1);
  auto send = [&q] {
    auto owner = std::make_shared<int>(1);
    q.send(message{owner});
    return std::weak_ptr<int>(owner);
  };
  std::weak_ptr<int> seen = send();
  EXPECT_FALSE(seen.expired());
  stray::select(stray::on_recv(q, [&seen](std::optional<message> m) {
    m.reset();
    EXPECT_TRUE(seen.expired()) << "dropped by a handler that goes on";
  }));
  seen = send();
  stray::select(stray::on_recv(q, [&seen] { EXPECT_TRUE(seen.expired()) << "not wanted by the handler"; }));
  seen = send();
  std::vector<stray::select_case> cases;
  cases.emplace_back(stray::on_recv(q, [&seen](std::optional<message> m) {
    m.reset();
    EXPECT_TRUE(seen.expired()) << "of a case that stays";
  }));
  stray::select(std::span(cases));
}

// The cases are kept by the program, and used again; what they have received and sent is not.
TYPED_TEST(kept_element, by_cases_that_stay) {
  static auto q = make_chan<TypeParam>(1);
  static std::vector<stray::select_case> sends, receives;
  expect_let_go([](holder* h) {
    sends.emplace_back(stray::on_send(q, element_of<TypeParam>(h)));
    receives.emplace_back(stray::on_recv(q, [](std::optional<TypeParam>) {}));
    stray::select(std::span(sends));
    stray::select(std::span(receives));
  });
}

// --- closures ---------------------------------------------------------------------------------------------------------------------------

template <std::size_t Size>
struct closure {  // small: in the record; large: on the heap
  holder* raw;
  std::array<char, Size> more{};
  std::error_code operator()() const { return {}; }
};

template <class F>
void expect_closures_let_go(void (*run)(F)) {
  expect_let_go([run](holder* h) { run(F{h}); });
}

TEST(kept_closure, of_go) {
  auto run = [](auto f) {
    auto done = make_chan<void>();
    stray::go([f, done] {
      f();
      done.close();
    });
    done.recv();
    while (stray::num_goroutine() != 1) stray::yield();
  };
  expect_closures_let_go<closure<8>>(run);
  expect_closures_let_go<closure<4000>>(run);
}

TEST(kept_closure, of_wait_group_go) {
  static stray::wait_group group;
  expect_closures_let_go<closure<8>>([](auto f) {
    group.go(f);
    group.wait();
  });
}

TEST(kept_closure, of_error_group_go) {
  static std::optional<stray::error_group> group;
  expect_closures_let_go<closure<8>>([](auto f) {
    group.emplace();
    group->set_limit(1);
    group->go(f);
    group->wait();
  });
  group.reset();
}

TEST(kept_closure, of_once) {
  static stray::once first;
  expect_closures_let_go<closure<8>>([](auto f) { first.call(f); });
}

TEST(kept_closure, of_blocking) {
  expect_closures_let_go<closure<8>>([](auto f) { stray::blocking(f); });
}

// A timer that has fired keeps its function for reset: it goes with the last handle.
TEST(kept_closure, of_after_func) {
  expect_closures_let_go<closure<8>>([](auto f) {
    auto fired = make_chan<void>(1);
    {
      stray::timer t = stray::after_func(1ms, [f, fired] {
        f();
        fired.try_send();
      });
      fired.recv();
    }
    while (stray::num_goroutine() != 1) stray::yield();
  });
}
TEST(kept_closure, of_after_func_that_was_stopped) {
  expect_closures_let_go<closure<8>>([](auto f) { stray::after_func(1h, f).stop(); });
}

TEST(kept_closure, of_a_condition) {
  static stray::mutex lock;
  static stray::condition_variable changed;
  expect_let_go([](holder* h) {
    bool ready = false;
    stray::wait_group other;
    other.go([&] {
      std::lock_guard guard(lock);
      ready = true;
      changed.notify_all();
    });
    std::unique_lock guard(lock);
    changed.wait(guard, [&ready, h] { return h != nullptr && ready; });
    guard.unlock();
    other.wait();
  });
}

TEST(kept_closure, of_on_leak) {
  expect_let_go(
      [](holder* h) { auto watch = stray::leak::on_leak([h](const stray::leak::report&) { static_cast<void>(h); }, 1h); });
}

// --- contexts ---------------------------------------------------------------------------------------------------------------------------

TEST(kept_by_contexts, value_of_a_child_that_ended) {
  static auto parent = stray::with_cancel(stray::background());
  expect_let_go([](holder* h) {
    auto child = stray::with_cancel(stray::with_value(parent.ctx, "key", h));
    EXPECT_EQ(child.ctx.value<holder*>("key"), h);
    child.cancel();
  });
}

TEST(kept_by_contexts, value_below_a_deadline) {
  expect_let_go([](holder* h) {
    auto child = stray::with_timeout(stray::with_value(stray::background(), "key", h), 1h);
    child.cancel();
  });
}

TEST(kept_by_contexts, labels) {
  expect_let_go([](holder* h) {
    std::string word(reinterpret_cast<const char*>(&h), sizeof h);
    stray::pprof::labels({{"key", word}}, [] { stray::yield(); });
  });
}

}  // namespace
