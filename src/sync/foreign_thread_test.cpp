// Every primitive blocks a plain OS thread as it blocks a goroutine, wakes it, and forgets it when it has ended.
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <mutex>
#include <thread>
#include <vector>

#include <stray/chan.hpp>
#include <stray/condition_variable.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/select.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/task.h"
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;

class foreign_thread : public ::testing::Test {
 protected:
  void TearDown() override { all_ended(); }
};

TEST_F(foreign_thread, talks_to_goroutines_and_threads_over_channels) {
  for (std::size_t capacity : {0u, 2u}) {
    auto there = make_chan<int>(capacity), back = make_chan<int>(capacity);
    std::thread echo([&] {
      for (int v : there) back.send(v + 1);
      back.close();
    });
    go([&] {
      for (int i = 0; i < 500; i++) there.send(i);
      there.close();
    });
    int n = 0;
    long sum = 0;
    for (int v : back) n++, sum += v;
    echo.join();
    EXPECT_EQ(n, 500);
    EXPECT_EQ(sum, 500L * 501 / 2);
  }
  all_ended();
}

TEST_F(foreign_thread, selects_with_and_without_time) {
  auto a = make_chan<int>(), b = make_chan<int>();
  std::atomic<long> sum{0};
  std::atomic<int> timeouts{0};
  std::thread t([&] {
    for (bool open = true; open;) {
      auto take = [&](std::optional<int> v) { v ? sum += * v : open = false; };
      if (select(on_recv(a, take), on_recv(b, take), on_timeout(200us)) == 2) timeouts++;
    }
  });
  for (int i = 1; i <= 200; i++) {
    go([&, i] { i % 2 == 0 ? a.send(i) : b.send(i); });
    if (i % 50 == 0) sleep_for(1ms);
  }
  all_ended();
  a.close();
  t.join();
  EXPECT_EQ(sum, 20100);
  all_ended();
}

TEST_F(foreign_thread, sleeps_while_goroutines_sleep) {
  std::atomic<int> early{0}, done{0};
  auto sleeper = [&](int i) {
    auto d = std::chrono::microseconds(100 * (i % 17));
    auto began = std::chrono::steady_clock::now();
    sleep_for(d);
    early += std::chrono::steady_clock::now() - began < d;
    done++;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 20; k++) sleeper(i + 3 * k);
    });
  }
  for (int i = 0; i < 100; i++) go([&, i] { sleeper(i); });
  for (std::thread& t : threads) t.join();
  until([&] { return done == 180; });
  EXPECT_EQ(early, 0);
  all_ended();
}

TEST_F(foreign_thread, that_ends_at_once_leaves_no_record_behind) {
  auto ch = make_chan<int>();
  std::size_t records = 0;
  for (int round = 0; round < 300; round++) {
    std::thread t([&] { ch.send(1); });
    EXPECT_EQ(ch.recv(), 1);
    t.join();
    if (round == 100) records = runtime::tasks().used();
  }
  EXPECT_LE(runtime::tasks().used(), records + 4);
}

struct unlocks_late {
  mutex* m = nullptr;
  ~unlocks_late() {
    if (m != nullptr) m->unlock();
  }
};
TEST_F(foreign_thread, may_unlock_in_a_thread_local_destructor) {
  mutex m;
  std::thread([&] {
    static thread_local unlocks_late late;
    m.lock();
    late.m = &m;
  }).join();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST_F(foreign_thread, meets_goroutines_at_every_primitive) {
  mutex m;
  condition_variable cv;
  wait_group group;
  int phase = 0;  // guarded by m
  std::atomic<int> ended{0};
  auto body = [&](int me) {
    for (int i = 0; i < 60; i++) {
      std::unique_lock lock(m);
      cv.wait(lock, [&] { return phase % 6 == me; });
      phase++;
      lock.unlock();
      cv.notify_all();
    }
    ended++;
    group.done();
  };
  group.add(6);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) {
    threads.emplace_back(body, 2 * i);
    go(body, 2 * i + 1);
  }
  group.wait();
  EXPECT_EQ(ended, 6);
  for (std::thread& t : threads) t.join();
  all_ended();
}

}  // namespace
}  // namespace stray
