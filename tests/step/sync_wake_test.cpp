// Every instruction of every waker of shared_mutex, once, semaphore, latch and barrier (wake_scene.hpp).
#include <mutex>
#include <shared_mutex>
#include <stdexcept>

#include "wake_scene.hpp"

namespace {

using namespace wake_scene;

// Held by the waker: it is the owner.
stray::shared_mutex lock_of_the_test;
void write() { std::lock_guard hold(lock_of_the_test); }
void read() { std::shared_lock hold(lock_of_the_test); }
void hold_for_writing() { lock_of_the_test.lock(); }
void hold_for_reading() { lock_of_the_test.lock_shared(); }
void stop_writing() {
  armed = true;
  lock_of_the_test.unlock();
}
void stop_reading() {
  armed = true;
  lock_of_the_test.unlock_shared();
}

TEST(sync_wake, unlock_hands_over_to_the_next_writer) {
  expect_never_leaked("unlock -> writer", write, stop_writing, {.before = hold_for_writing});
}

TEST(sync_wake, unlock_lets_a_reader_in) {
  expect_never_leaked("unlock -> reader", read, stop_writing, {.before = hold_for_writing});
}

TEST(sync_wake, unlock_lets_readers_in_and_announces_a_writer) {
  expect_never_leaked("unlock -> two readers, and two writers behind",
                      [] {
                        stray::go(write);
                        stray::go(write);
                        stray::go(read);
                        read();
                      },
                      stop_writing, {.parked = 4, .before = hold_for_writing});
}

TEST(sync_wake, unlock_lets_in_a_reader_that_holds_other_locks) {
  expect_never_leaked("unlock -> reader of four locks, and a writer",
                      [] {
                        stray::shared_mutex others[3];
                        for (auto& m : others) m.lock_shared();
                        stray::go(write);
                        read();
                        for (auto& m : others) m.unlock_shared();
                      },
                      stop_writing, {.parked = 2, .before = hold_for_writing});
}

TEST(sync_wake, the_last_reader_hands_over_to_the_writer) {
  expect_never_leaked("unlock_shared -> writer", write, stop_reading, {.before = hold_for_reading});
}

TEST(sync_wake, the_last_reader_of_two_hands_over_to_the_writer) {
  expect_never_leaked(
      "unlock_shared twice -> writer, and others behind",
      [] {
        stray::go(write);
        stray::go(read);
        write();
      },
      [] {
        stop_reading();
        stop_reading();
      },
      {.parked = 3, .before = [] {
         hold_for_reading();
         hold_for_reading();
       }});
}

TEST(sync_wake, a_reader_tries_while_the_writer_waits) {
  expect_never_leaked("try_lock_shared, unlock_shared -> writer", write,
                      [] {
                        armed = true;
                        if (lock_of_the_test.try_lock_shared()) std::abort();
                        lock_of_the_test.unlock_shared();
                      },
                      {.before = hold_for_reading});
}

TEST(sync_wake, send_wakes_the_reader_that_a_writer_waits_for) {
  expect_never_leaked(
      "send -> reader, whom a writer waits for",
      [] {
        auto ch = stray::make_chan<int>();
        publish(ch);
        std::shared_lock hold(lock_of_the_test);
        stray::go(write);
        ch.recv();
      },
      [] { fetch<stray::chan<int>>().send(1); }, {.parked = 2});
}

// The waker runs the function; the waiters start when it is inside.
stray::once once_of_the_test[2];
std::atomic<bool> inside{false};
void wait_inside() {
  inside = true;
  stray::testing::until_parked(2);
}
void call_once(stray::once& once) {
  while (!inside) stray::yield();
  once.call([] { armed = false; });  // its turn after a throw: the rest of the unwinding is not asked about
}

TEST(sync_wake, who_ran_the_function_wakes_all) {
  inside = false;
  stray::once& once = once_of_the_test[0];
  expect_never_leaked(
      "once -> two callers",
      [&once] {
        stray::go(call_once, std::ref(once));
        call_once(once);
      },
      [] {
        once_of_the_test[0].call([] {
          wait_inside();
          armed = true;
        });
      },
      {.parked = 0});
}

TEST(sync_wake, who_threw_wakes_the_next) {
  inside = false;
  stray::once& once = once_of_the_test[1];
  expect_never_leaked(
      "once that threw -> two callers",
      [&once] {
        stray::go(call_once, std::ref(once));
        call_once(once);
      },
      [] {
        struct arms {
          ~arms() { armed = true; }  // the first half of the unwinding is not asked about
        };
        try {
          once_of_the_test[1].call([] {
            wait_inside();
            arms now;
            throw std::runtime_error("not yet");
          });
        } catch (const std::runtime_error&) {
        }
      },
      {.parked = 0});
}

TEST(sync_wake, release_wakes_the_first) {
  expect_never_leaked(
      "release -> acquire",
      [] {
        stray::semaphore permits(0);
        publish(permits);
        permits.acquire();
      },
      [] { fetch<stray::semaphore>().release(); });
}

TEST(sync_wake, release_of_three_wakes_three) {
  expect_never_leaked(
      "release(3) -> three acquires",
      [] {
        stray::semaphore permits(0);
        stray::wait_group others;
        publish(permits);
        for (int i = 0; i < 2; i++) others.go([&permits] { permits.acquire(); });
        permits.acquire();
        others.wait();
      },
      [] { fetch<stray::semaphore>().release(3); }, {.parked = 3});
}

TEST(sync_wake, the_last_count_down_wakes_the_waiter) {
  expect_never_leaked(
      "count_down -> wait",
      [] {
        stray::latch l(2);
        publish(l);
        l.arrive_and_wait();
      },
      [] { fetch<stray::latch>().count_down(); });
}

TEST(sync_wake, the_last_arrival_wakes_the_others) {
  expect_never_leaked(
      "arrive_and_drop -> wait",
      [] {
        stray::barrier<> b(2);
        publish(b);
        b.arrive_and_wait();
      },
      [] { fetch<stray::barrier<>>().arrive_and_drop(); });
}

}  // namespace
