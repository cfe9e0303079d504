// condition_variable: a notification between the unlock and the park is not lost, one notify wakes one, and any Lockable will do.
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <stray/condition_variable.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using stray::testing::until_parked;

constinit condition_variable global;

TEST(condition_variable, notify_without_waiters_does_nothing) {
  global.notify_one();
  global.notify_all();
}

TEST(condition_variable, notify_one_wakes_one_in_order) {
  mutex m;
  condition_variable cv;
  int tickets = 0;         // guarded by m
  std::vector<int> order;  // guarded by m
  for (int i = 0; i < 5; i++) {
    go([&, i] {
      std::unique_lock lock(m);
      cv.wait(lock, [&] { return tickets > 0; });
      tickets--;
      order.push_back(i);
    });
    until_parked(static_cast<std::size_t>(i) + 1);
  }
  for (std::size_t n = 1; n <= 5; n++) {
    {
      std::lock_guard guard(m);
      tickets++;
    }
    cv.notify_one();
    until([&] {
      std::lock_guard guard(m);
      return order.size() == n;
    });
  }
  all_ended();
  std::lock_guard guard(m);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(condition_variable, notify_one_leaves_the_others_waiting) {
  mutex m;
  condition_variable cv;
  std::atomic<int> woken{0};
  for (int i = 0; i < 4; i++) {
    go([&] {
      std::unique_lock lock(m);
      cv.wait(lock);
      woken++;
    });
  }
  until_parked(4);
  cv.notify_one();
  until([] { return num_goroutine() == 3; });
  EXPECT_EQ(woken, 1);
  until_parked(3);
  cv.notify_all();
  until([&] { return woken == 4; });
  all_ended();
}

// The one that comes between the notification and the wake has the lock first, and waits all the same.
TEST(condition_variable, a_notification_goes_to_who_waits_and_not_to_who_comes_later) {
  mutex m;
  condition_variable cv;
  std::vector<int> order;  // guarded by m
  auto wait = [&](int me) {
    std::unique_lock lock(m);
    cv.wait(lock);
    order.push_back(me);
  };
  go(wait, 0);
  for (int next = 1; next <= 50; next++) {
    until_parked(1);
    {
      std::lock_guard guard(m);
      cv.notify_one();
      go(wait, next);
    }
    until([&] {
      std::lock_guard guard(m);
      return order.size() == static_cast<std::size_t>(next);
    });
    std::lock_guard guard(m);
    EXPECT_EQ(order.back(), next - 1);
  }
  until_parked(1);
  cv.notify_one();
  all_ended();
}

TEST(condition_variable, notify_all_reaches_who_waits_while_another_comes) {
  for (int round = 0; round < 300; round++) {
    mutex m;
    condition_variable cv;
    bool done = false;  // guarded by m
    std::atomic<bool> reached{false};
    go([&] {
      std::unique_lock lock(m);
      cv.wait(lock);
      reached = true;
    });
    until_parked(1);
    go([&] { cv.notify_all(); });
    go([&] {
      std::unique_lock lock(m);
      cv.wait(lock, [&] { return done; });
    });
    until([&] { return reached.load(); });
    {
      std::lock_guard guard(m);
      done = true;
    }
    cv.notify_all();
    all_ended();
  }
}

TEST(condition_variable, notify_all_wakes_goroutines_and_threads) {
  mutex m;
  condition_variable cv;
  bool open = false;  // guarded by m
  std::atomic<int> through{0}, up{0};
  auto body = [&] {
    std::unique_lock lock(m);
    up++;
    cv.wait(lock, [&] { return open; });
    through++;
  };
  for (int i = 0; i < 20; i++) go(body);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) threads.emplace_back(body);
  until([&] { return up == 23; });
  {
    std::lock_guard guard(m);
    open = true;
  }
  cv.notify_all();
  until([&] { return through == 23; });
  for (std::thread& t : threads) t.join();
  all_ended();
}

TEST(condition_variable, loses_no_notification_in_a_tight_hand_over) {
  mutex m;
  condition_variable cv;
  int turn = 0;  // guarded by m
  constexpr int rounds = 2000;
  auto player = [&](int me) {
    for (int i = 0; i < rounds; i++) {
      std::unique_lock lock(m);
      cv.wait(lock, [&] { return turn == me; });
      turn = 1 - me;
      lock.unlock();
      cv.notify_one();
    }
  };
  wait_group group;
  group.go([&] { player(0); });
  group.go([&] { player(1); });
  group.wait();
  std::thread t([&] { player(0); });  // the same with a thread
  group.go([&] { player(1); });
  t.join();
  group.wait();
  all_ended();
}

TEST(condition_variable, queue_of_many_producers_and_consumers_delivers_all) {
  mutex m;
  condition_variable not_empty, not_full;
  std::vector<int> queue;  // guarded by m
  constexpr int n = 1500, players = 3;
  std::atomic<long> sum{0};
  wait_group group;
  for (int p = 0; p < players; p++) {
    group.go([&] {
      for (int i = 1; i <= n; i++) {
        std::unique_lock lock(m);
        not_full.wait(lock, [&] { return queue.size() < 4; });
        queue.push_back(i);
        not_empty.notify_one();
      }
    });
    group.go([&] {
      for (int i = 1; i <= n; i++) {
        std::unique_lock lock(m);
        while (!not_empty.wait_for(lock, 50us, [&] { return !queue.empty(); })) {
        }
        sum += queue.back();
        queue.pop_back();
        not_full.notify_one();
      }
    });
  }
  group.wait();
  EXPECT_EQ(sum, players * (static_cast<long>(n) * (n + 1) / 2));
  all_ended();
}

TEST(condition_variable, timed_wait_times_out_and_holds_the_lock_again) {
  mutex m;
  condition_variable cv;
  auto check = [&] {
    std::unique_lock lock(m);
    auto before = std::chrono::steady_clock::now();
    bool right = cv.wait_for(lock, 2ms) == std::cv_status::timeout;
    right = right && std::chrono::steady_clock::now() - before >= 2ms && lock.owns_lock() && !m.try_lock();
    right = right && cv.wait_for(lock, -1s) == std::cv_status::timeout;
    return right && !cv.wait_for(lock, 1ms, [] { return false; }) && cv.wait_for(lock, 0ms, [] { return true; });
  };
  EXPECT_TRUE(check());
  std::atomic<int> answer{-1};
  go([&] { answer = check(); });
  until([&] { return answer != -1; });
  EXPECT_EQ(answer, 1);
  cv.notify_all();  // nobody is left in the queue
  all_ended();
}

TEST(condition_variable, wait_until_a_time_of_any_clock) {
  mutex m;
  condition_variable cv;
  auto check = [&](auto now) {
    std::unique_lock lock(m);
    auto end = now() + 2ms;
    while (cv.wait_until(lock, end) == std::cv_status::no_timeout) {  // the clocks drift apart
    }
    bool right = now() >= end && lock.owns_lock();
    right = right && cv.wait_until(lock, now() - 1h) == std::cv_status::timeout;
    right = right && !cv.wait_until(lock, now() + 1ms, [] { return false; });
    return right && cv.wait_until(lock, now() - 1ms, [] { return true; });
  };
  EXPECT_TRUE(check(std::chrono::steady_clock::now));
  EXPECT_TRUE(check(std::chrono::system_clock::now));
  std::atomic<bool> up{false}, ready{false};
  std::atomic<int> answer{-1};
  go([&] {
    std::unique_lock lock(m);
    up = true;
    answer = cv.wait_until(lock, std::chrono::steady_clock::time_point::max(), [&] { return ready.load(); });
  });
  until([&] { return up.load(); });
  { std::lock_guard guard(m); }  // it waits by now
  ready = true;
  cv.notify_all();
  until([&] { return answer != -1; });
  EXPECT_EQ(answer, 1);
  all_ended();
}

TEST(condition_variable, timed_wait_is_woken_by_notify) {
  mutex m;
  condition_variable cv;
  for (auto longest : {std::chrono::nanoseconds(1h), std::chrono::nanoseconds::max()}) {
    std::atomic<int> answer{-1};
    std::atomic<bool> up{false};
    go([&, longest] {
      std::unique_lock lock(m);
      up = true;
      answer = cv.wait_for(lock, longest) == std::cv_status::no_timeout;
    });
    until([&] { return up.load(); });
    { std::lock_guard guard(m); }  // it waits by now
    cv.notify_one();
    until([&] { return answer != -1; });
    EXPECT_EQ(answer, 1) << longest.count() << " ns";
  }
  all_ended();
}

// A notification that meets a wait which has just timed out goes on to the next one.
TEST(condition_variable, a_timed_out_wait_eats_no_notification) {
  mutex m;
  condition_variable cv;
  for (int round = 0; round < 300; round++) {
    int tickets = 0;  // guarded by m
    std::atomic<bool> served{false};
    go([&] {
      std::unique_lock lock(m);
      cv.wait_for(lock, std::chrono::microseconds(round % 50));
      bool took = tickets > 0;
      tickets -= took;
      if (took) tickets++, lock.unlock(), cv.notify_one();  // passes it on, as a well-behaved waiter does
    });
    go([&] {
      std::unique_lock lock(m);
      cv.wait(lock, [&] { return tickets > 0; });
      served = true;
    });
    {
      std::lock_guard guard(m);
      tickets++;
    }
    cv.notify_one();
    until([&] { return served.load(); });
    all_ended();
  }
}

TEST(condition_variable, waits_on_any_lockable) {
  std::mutex m;  // the holder must not park, but wait gives it back before it does
  condition_variable cv;
  bool ready = false;  // guarded by m
  std::atomic<int> through{0};
  for (int i = 0; i < 5; i++) {
    go([&] {
      std::unique_lock lock(m);
      cv.wait(lock, [&] { return ready; });
      through++;
    });
  }
  std::thread t([&] {
    std::unique_lock lock(m);
    cv.wait(lock, [&] { return ready; });
    through++;
  });
  until_parked(5);
  {
    std::lock_guard guard(m);
    ready = true;
  }
  cv.notify_all();
  until([&] { return through == 6; });
  t.join();
  mutex plain;
  plain.lock();
  EXPECT_EQ(cv.wait_for(plain, 1ms), std::cv_status::timeout);  // the mutex itself
  plain.unlock();
  all_ended();
}

TEST(condition_variable, an_unlock_that_throws_leaves_no_waiter_behind) {
  mutex m;
  condition_variable cv;
  std::unique_lock<mutex> not_owned(m, std::defer_lock);
  EXPECT_THROW(cv.wait(not_owned), std::system_error);
  std::atomic<bool> woken{false};
  go([&] {
    std::unique_lock lock(m);
    cv.wait(lock);
    woken = true;
  });
  until_parked(1);
  cv.notify_one();
  until([&] { return woken.load(); });
  all_ended();
}

TEST(condition_variable, may_be_destroyed_after_notify_all) {
  for (int round = 0; round < 300; round++) {
    mutex m;
    auto cv = std::make_unique<condition_variable>();
    bool ready = false;  // guarded by m
    std::atomic<int> through{0};
    for (int i = 0; i < 3; i++) {
      go([&, p = cv.get()] {
        {
          std::unique_lock lock(m);
          while (!ready) p->wait(lock);
        }
        through++;
      });
    }
    until_parked(3);
    {
      std::lock_guard guard(m);
      ready = true;
      cv->notify_all();
      cv.reset();
    }
    until([&] { return through == 3; });
    all_ended();
  }
}

}  // namespace
}  // namespace stray
