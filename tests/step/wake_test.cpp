// Every instruction of every waker of channels, mutexes, wait_groups and condition variables. The control shows that without the waker the
// same waiter is reported. Of the other primitives: sync_wake_test.cpp.
#include <cstring>
#include <mutex>

#include "sync/owner.h"
#include "wake_scene.hpp"

namespace {

using namespace wake_scene;

TEST(wake, control_the_waiter_is_reported_when_there_is_no_waker) {
  stray::go([] {
    auto ch = stray::make_chan<int>();
    publish(ch);
    ch.recv();
  });
  settle();
  EXPECT_TRUE(reported_as_leaked());
  std::uint64_t before = stray::runtime::wrong_verdicts();
  fetch<stray::chan<int>>().send(1);  // a wake through a pointer that nobody could see: the one way to be wrong
  while (stray::num_goroutine() != 0) stray::yield();
  EXPECT_EQ(stray::runtime::wrong_verdicts(), before + 1);
}

TEST(wake, send_wakes_a_receiver) {
  expect_never_leaked(
      "send -> receiver",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        ch.recv();
      },
      [] { fetch<stray::chan<int>>().send(7); });
}

TEST(wake, receive_wakes_a_sender) {
  expect_never_leaked(
      "receive -> sender",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        ch.send(1);
      },
      [] { fetch<stray::chan<int>>().recv(); });
}

TEST(wake, receive_from_a_full_buffer_wakes_a_sender) {
  expect_never_leaked(
      "receive from a full buffer -> sender",
      [] {
        auto ch = stray::make_chan<int>(1);
        publish(ch);
        ch.send(1);
        ch.send(2);
      },
      [] { fetch<stray::chan<int>>().recv(); });
}

TEST(wake, close_wakes_a_receiver) {
  expect_never_leaked(
      "close -> receiver",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        ch.recv();
      },
      [] { fetch<stray::chan<int>>().close(); });
}

TEST(wake, close_wakes_a_sender) {
  expect_never_leaked(
      "close -> sender, which catches",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        EXPECT_THROW(ch.send(1), stray::panic);
      },
      [] { fetch<stray::chan<int>>().close(); });
}

TEST(wake, close_wakes_many) {
  expect_never_leaked(
      "close -> three receivers",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        for (int i = 0; i < 2; i++) stray::go([ch] { ch.recv(); });
        ch.recv();
      },
      [] { fetch<stray::chan<int>>().close(); }, {.parked = 3});
}

TEST(wake, send_wakes_a_select) {
  expect_never_leaked(
      "send -> select over two",
      [] {
        auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
        publish(b);
        stray::select(stray::on_recv(a), stray::on_recv(b));
      },
      [] { fetch<stray::chan<int>>().send(1); });
}

TEST(wake, a_select_wakes_a_receiver) {
  expect_never_leaked(
      "select with send -> receiver",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        ch.recv();
      },
      [] { stray::select(stray::on_send(fetch<stray::chan<int>>(), 1), stray::on_default()); });
}

TEST(wake, send_wakes_an_os_thread) {
  expect_never_leaked(
      "send -> receiver on an OS thread",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        ch.recv();
      },
      [] { fetch<stray::chan<int>>().send(7); }, {.on_thread = true});
}

// The lock is taken by the waker before it is stepped: it is the owner.
stray::mutex lock_of_the_test;
TEST(wake, unlock_wakes_the_next) {
  expect_never_leaked(
      "unlock -> next owner, competing", [] { std::lock_guard hold(lock_of_the_test); },
      [] {
        armed = true;
        lock_of_the_test.unlock();
      },
      {.before = [] { lock_of_the_test.lock(); }});
}

TEST(wake, unlock_hands_over_to_a_starving_waiter) {
  expect_never_leaked(
      "unlock -> next owner, handed over", [] { std::lock_guard hold(lock_of_the_test); },
      [] {
        armed = true;
        lock_of_the_test.unlock();
      },
      {.before =
           [] {
             stray::maxprocs(1);
             lock_of_the_test.lock();
           },
       .after =
           [] {
             // Wake the waiter while the only worker is busy and take the lock again, until it has waited for 1 ms and asks for a hand-over.
             std::uint64_t word = 0;
             do {
               std::atomic<int> phase{0};
               stray::go([&phase] {
                 phase = 1;
                 while (phase.load() != 2) __builtin_ia32_pause();
                 phase = 3;
               });
               while (phase.load() != 1) std::this_thread::yield();
               auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
               while (std::chrono::steady_clock::now() < until) {
               }
               lock_of_the_test.unlock();
               lock_of_the_test.lock();
               phase = 2;
               while (phase.load() != 3) std::this_thread::yield();
               settle();
               std::memcpy(&word, &lock_of_the_test, sizeof word);
             } while ((word & stray::sync::lock_word::handoff) == 0);
           }});
}

TEST(wake, done_wakes_the_waiter) {
  expect_never_leaked(
      "done -> wait",
      [] {
        stray::wait_group group;
        group.add(1);
        publish(group);
        group.wait();
      },
      [] { fetch<stray::wait_group>().done(); });
}

struct signal {
  stray::mutex lock;
  stray::condition_variable changed;
  bool ready = false;
};
TEST(wake, notify_one_wakes_the_waiter) {
  expect_never_leaked(
      "notify_one -> wait",
      [] {
        signal s;
        publish(s);
        std::unique_lock hold(s.lock);
        s.changed.wait(hold, [&s] { return s.ready; });
      },
      [] {
        signal& s = fetch<signal>();
        std::lock_guard hold(s.lock);
        s.ready = true;
        s.changed.notify_one();
      });
}

TEST(wake, notify_all_wakes_the_waiter) {
  expect_never_leaked(
      "notify_all -> wait",
      [] {
        signal s;
        publish(s);
        std::unique_lock hold(s.lock);
        s.changed.wait(hold, [&s] { return s.ready; });
      },
      [] {
        signal& s = fetch<signal>();
        std::lock_guard hold(s.lock);
        s.ready = true;
        s.changed.notify_all();
      });
}

}  // namespace
