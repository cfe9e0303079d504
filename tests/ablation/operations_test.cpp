// The only pointer to a handle is on its way through an operation of the channel while that runs the user's code: the element is copied,
// moved or destroyed, and that blocks; or that code resets the handle. Whom the operation is about to wake owns another one, so no orphan helps;
// without the operation's mark (detail/handle.hpp 3) the verdict is proven, and wrong.
#include <chrono>
#include <ctime>
#include <thread>

#include "scene.hpp"

namespace {

using namespace ablation;
using namespace std::chrono_literals;

enum class moment { never, copy, move, destroy };
enum class delay { thread_sleeps, thread_asks, goroutine_sleeps, goroutine_waits };
const char* name_of(delay d) {
  constexpr const char* names[] = {"thread_sleeps", "thread_asks", "goroutine_sleeps", "goroutine_waits"};
  return names[static_cast<int>(d)];
}

struct {
  std::atomic<moment> when{moment::never};
  std::atomic<bool> there{false}, over{false};
  delay how = delay::thread_sleeps;
  void (*reset)() = nullptr;
  stray::recv_chan<void> gate;
  std::optional<tier> seen;
} linger;

// Once, at the moment that was asked for.
[[gnu::noinline]] void pass(moment now) {
  moment wanted = now;
  if (!linger.when.compare_exchange_strong(wanted, moment::never)) return;
  if (linger.reset != nullptr) linger.reset();
  scrub();
  linger.there = true;
  const timespec some{0, 300'000};
  switch (linger.how) {
    case delay::thread_sleeps:
      while (!linger.over) nanosleep(&some, nullptr);
      return;
    case delay::thread_asks:
      linger.seen = verdict();
      return;
    case delay::goroutine_sleeps:
      while (!linger.over) stray::sleep_for(300us);
      return;
    case delay::goroutine_waits:
      linger.gate.recv();
      return;
  }
}

template <bool MoveThrows>
struct slow {
  bool full = true;
  slow() = default;
  slow(const slow&) { pass(moment::copy); }
  slow(slow&& from) noexcept(!MoveThrows) : full(std::exchange(from.full, false)) { pass(moment::move); }
  slow& operator=(const slow&) = default;
  slow& operator=(slow&&) = default;
  ~slow() {
    if (!full) pass(moment::destroy);
  }
};
using moved = slow<false>;
using boxed = slow<true>;

// W waits in `wait` on a channel that is in its own frame. Another one operates: by a pointer to that handle, which it keeps nowhere; or by
// another handle, in a variable, which the element's code resets.
template <class T>
std::atomic<stray::chan<T>*> handed_on{nullptr};
template <class T>
stray::chan<T> published;
template <class T>
[[gnu::noinline]] stray::chan<T>& take() {
  return linger.reset != nullptr ? published<T> : *handed_on<T>.exchange(nullptr);
}

template <class T, class Wait, class Operate>
void expect_no_proof_by(void (*reset)(), moment when, std::size_t room, Wait wait, Operate operate) {
  for (delay how : {delay::thread_sleeps, delay::thread_asks, delay::goroutine_sleeps, delay::goroutine_waits}) {
    SCOPED_TRACE(name_of(how));
    linger.there = linger.over = false;
    linger.how = how;
    linger.reset = reset;
    linger.seen.reset();
    auto gate = stray::make_chan<void>();
    linger.gate = gate;
    stray::go([&] {
      auto own = stray::make_chan<T>(room);
      if (room != 0) own.send(T());
      if (reset != nullptr) {
        published<T> = own;
      } else {
        handed_on<T> = &own;
      }
      wait(own);
    });
    stray::testing::until_parked(1);
    linger.when = when;
    std::thread thread;
    if (how == delay::thread_sleeps || how == delay::thread_asks) {
      thread = std::thread(operate);
    } else {
      stray::go(operate);
    }
    while (!linger.there) std::this_thread::sleep_for(100us);
    if (how == delay::goroutine_waits) stray::testing::until_parked(2);
    if (how != delay::thread_asks) linger.seen = verdict();
    linger.over = true;
    gate.close();
    linger.gate = {};
    if (thread.joinable()) thread.join();
    until_all_ended();  // so W has been woken
    EXPECT_NE(linger.seen, tier::proven);
  }
}
template <class T, class Wait, class Operate>
void expect_no_proof(moment when, std::size_t room, Wait wait, Operate operate) {
  expect_no_proof_by<T>(nullptr, when, room, wait, operate);
  expect_no_proof_by<T>([] { published<T> = {}; }, when, room, wait, operate);
}

TEST(operations, send_while_the_value_is_copied) {
  static const moved value;
  expect_no_proof<moved>(
      moment::copy, 0, [](auto& own) { own.recv(); }, [] { take<moved>().send(value); });
}
TEST(operations, send_while_the_value_is_copied_into_its_box) {
  static boxed value;
  expect_no_proof<boxed>(
      moment::copy, 0, [](auto& own) { own.recv(); }, [] { take<boxed>().send(std::move(value)); });
}
TEST(operations, try_send_while_the_value_is_copied) {
  static const moved value;
  expect_no_proof<moved>(
      moment::copy, 0, [](auto& own) { own.recv(); }, [] { take<moved>().try_send(value); });
}
TEST(operations, try_send_while_the_value_is_copied_into_its_box) {
  static boxed value;
  expect_no_proof<boxed>(
      moment::copy, 0, [](auto& own) { own.recv(); }, [] { take<boxed>().try_send(std::move(value)); });
}
TEST(operations, recv_while_the_element_is_moved_out) {
  expect_no_proof<moved>(
      moment::move, 1, [](auto& own) { own.send(moved()); }, [] { take<moved>().recv(); });
}
TEST(operations, recv_while_what_is_left_is_destroyed) {
  expect_no_proof<moved>(
      moment::destroy, 1, [](auto& own) { own.send(moved()); }, [] { take<moved>().recv(); });
}
TEST(operations, try_recv_while_the_element_is_moved_out) {
  expect_no_proof<moved>(
      moment::move, 1, [](auto& own) { own.send(moved()); },
      [] {
        std::optional<moved> into;
        take<moved>().try_recv(into);
      });
}
TEST(operations, try_recv_while_what_is_left_is_destroyed) {
  expect_no_proof<moved>(
      moment::destroy, 1, [](auto& own) { own.send(moved()); },
      [] {
        std::optional<moved> into;
        take<moved>().try_recv(into);
      });
}

}  // namespace
