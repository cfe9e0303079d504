// The shared_mutex excludes, shares, starves nobody, hands on what was written, and ends the process when it is misused.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/shared_mutex.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "runtime/current.h"
#include "runtime/test_waits.h"

namespace stray {
namespace {

using stray::testing::until_parked;
using ::testing::ExitedWithCode;

static_assert(sizeof(shared_mutex) == 16 && !std::is_copy_constructible_v<shared_mutex>);
constinit shared_mutex global;

TEST(shared_mutex_lock, works_with_the_standard_guards) {
  shared_mutex m;
  { std::lock_guard guard(m); }
  { std::shared_lock guard(m); }
  { std::scoped_lock both(m, global); }
  std::unique_lock lock(m);
  EXPECT_TRUE(lock.owns_lock());
  lock.unlock();
  std::shared_lock tried(global, std::try_to_lock);
  EXPECT_TRUE(tried.owns_lock());
}

TEST(shared_mutex_lock, try_answers) {
  shared_mutex m;
  EXPECT_TRUE(m.try_lock());
  EXPECT_FALSE(m.try_lock());
  EXPECT_FALSE(m.try_lock_shared());
  m.unlock();
  EXPECT_TRUE(m.try_lock_shared());
  EXPECT_TRUE(m.try_lock_shared());
  EXPECT_FALSE(m.try_lock());
  m.unlock_shared();
  EXPECT_FALSE(m.try_lock());
  m.unlock_shared();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST(shared_mutex_lock, readers_share) {
  shared_mutex m;
  std::atomic<int> inside{0};
  auto quit = make_chan<void>();
  for (int i = 0; i < 5; i++) {
    go([&, quit] {
      std::shared_lock lock(m);
      inside++;
      quit.recv();
    });
  }
  until([&] { return inside == 5; });
  EXPECT_FALSE(m.try_lock());
  quit.close();
  all_ended();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// An announced writer holds up newcomers; a writer that unlocks lets in all readers that wait, and only then the next writer has its turn.
TEST(shared_mutex_lock, order_of_readers_and_writers) {
  shared_mutex m;
  mutex guard;
  std::vector<int> order;  // guarded by guard; writers 100 + n
  auto note = [&](int who) {
    std::lock_guard lock(guard);
    order.push_back(who);
  };
  m.lock_shared();
  auto writer = [&](int who) {
    go([&, who] {
      std::lock_guard lock(m);
      note(who);
    });
  };
  auto reader = [&](int who) {
    go([&, who] {
      std::shared_lock lock(m);
      note(who);
    });
  };
  std::size_t parked = 0;
  writer(100), until_parked(++parked);
  EXPECT_FALSE(m.try_lock_shared());
  reader(1), until_parked(++parked);
  writer(101), until_parked(++parked);
  reader(2), until_parked(++parked);
  writer(102), until_parked(++parked);
  reader(3), until_parked(++parked);
  m.unlock_shared();
  all_ended();
  ASSERT_EQ(order.size(), 6u);
  EXPECT_EQ(order[0], 100);
  std::sort(order.begin() + 1, order.begin() + 4);
  EXPECT_EQ(order, (std::vector<int>{100, 1, 2, 3, 101, 102}));
}

TEST(shared_mutex_lock, a_task_may_hold_many) {
  std::atomic<int> passed{0};
  auto body = [&] {
    std::vector<shared_mutex> all(300);
    for (int round = 0; round < 3; round++) {
      for (auto& m : all) m.lock_shared();
      for (auto& m : all) m.lock_shared();  // nobody writes
      for (auto& m : all) m.unlock_shared();
      for (auto& m : all) {
        if (m.try_lock()) return;
      }
      for (auto m = all.rbegin(); m != all.rend(); ++m) m->unlock_shared();
      for (auto& m : all) {
        if (!m.try_lock()) return;
        m.unlock();
      }
    }
    if (runtime::current_task()->holds.first == 0) passed++;
  };
  std::thread(body).join();
  for (int i = 0; i < 3; i++) {
    go(body);
    all_ended();
  }
  EXPECT_EQ(passed, 4);
}

TEST(shared_mutex_lock, a_task_may_hold_one_very_often) {
  shared_mutex m;
  constexpr int n = 200'000;  // more than one slot counts
  for (int i = 0; i < n; i++) m.lock_shared();
  EXPECT_FALSE(m.try_lock());
  for (int i = 0; i < n; i++) m.unlock_shared();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

class contended_shared : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = maxprocs(GetParam()); }
  void TearDown() override {
    all_ended();
    maxprocs(before_);
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, contended_shared, ::testing::Values(1, 2, 4, 8),
                         [](const auto& p) { return std::to_string(p.param); });

TEST_P(contended_shared, readers_see_whole_writes) {
  shared_mutex m;
  std::array<long, 4> data{};  // guarded by m: all equal
  std::atomic<int> torn{0};
  wait_group group;
  std::vector<std::thread> threads;
  auto body = [&](int kind) {
    for (int i = 0; i < 1000; i++) {
      if (kind == 0 ? m.try_lock() : kind == 1 && (m.lock(), true)) {
        for (long& x : data) x++;
        if (i % 64 == 0) yield();  // parks while it holds the lock
        m.unlock();
      } else if (kind != 3 || m.try_lock_shared()) {
        if (kind != 3) m.lock_shared();
        if (std::adjacent_find(data.begin(), data.end(), std::not_equal_to<>()) != data.end()) torn++;
        if (i % 64 == 0) yield();
        m.unlock_shared();
      }
    }
  };
  for (int g = 0; g < 12; g++) group.go([&, g] { body(g % 4); });
  for (int t = 0; t < 3; t++) threads.emplace_back([&, t] { body(t + 1); });
  group.wait();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(torn, 0);
  std::lock_guard lock(m);
  EXPECT_GE(data[0], 4000);  // those that lock
  EXPECT_EQ(data[0], data[3]);
}

// Readers come so thick that there is always one; the writer gets its turn all the same, and the other way round.
TEST_P(contended_shared, lets_nobody_starve) {
  for (bool many_write : {false, true}) {
    shared_mutex m;
    std::atomic<bool> stop{false};
    std::atomic<int> turns{0};
    for (int g = 0; g < 4; g++) {
      go([&] {
        while (!stop) {
          if (many_write) {
            std::lock_guard lock(m);
            yield();
          } else {
            std::shared_lock lock(m);
            yield();
          }
        }
      });
    }
    go([&] {
      for (int i = 0; i < 100; i++) {
        if (many_write) {
          std::shared_lock lock(m);
          turns++;
        } else {
          std::lock_guard lock(m);
          turns++;
        }
        yield();
      }
      stop = true;
    });
    all_ended();
    EXPECT_EQ(turns, 100);
  }
}

// Whoever has it last may destroy it, although the one before is still on its way out of unlock.
TEST_P(contended_shared, may_be_destroyed_by_who_locked_it_last) {
  for (int round = 0; round < 300; round++) {
    auto m = std::make_unique<shared_mutex>();
    std::atomic<bool> up{false};
    bool first_reads = round % 2 == 0;
    first_reads ? m->lock_shared() : m->lock();
    go([&] {
      up = true;
      if (round % 3 == 0 && !first_reads) {
        m->lock_shared();
        m->unlock_shared();
      } else {
        m->lock();
        m->unlock();
      }
      m.reset();
      up = false;
    });
    until([&] { return up.load(); });
    first_reads ? m->unlock_shared() : m->unlock();
    until([&] { return !up.load(); });
  }
  all_ended();
}

class shared_misuse : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(shared_misuse, unlock_of_what_nobody_holds_ends_the_process) {
  auto after_reader = [] {
    shared_mutex m;
    m.lock_shared();
    m.unlock();
  };
  auto shared_after_writer = [] {
    shared_mutex m;
    m.lock();
    m.unlock_shared();
  };
  auto twice = [] {
    shared_mutex m;
    m.lock();
    m.unlock();
    m.unlock();
  };
  auto shared_twice = [] {
    shared_mutex m;
    m.lock_shared();
    m.unlock_shared();
    m.unlock_shared();
  };
  EXPECT_EXIT(shared_mutex().unlock(), ExitedWithCode(2), "^fatal error: sync: Unlock of unlocked RWMutex\n");
  EXPECT_EXIT(after_reader(), ExitedWithCode(2), "^fatal error: sync: Unlock of unlocked RWMutex\n");
  EXPECT_EXIT(shared_mutex().unlock_shared(), ExitedWithCode(2), "^fatal error: sync: RUnlock of unlocked RWMutex\n");
  EXPECT_EXIT(shared_after_writer(), ExitedWithCode(2), "^fatal error: sync: RUnlock of unlocked RWMutex\n");
  EXPECT_EXIT(twice(), ExitedWithCode(2), "^fatal error: sync: Unlock of unlocked RWMutex\n");
  EXPECT_EXIT(shared_twice(), ExitedWithCode(2), "^fatal error: sync: RUnlock of unlocked RWMutex\n");
}

TEST_F(shared_misuse, unlock_by_another_ends_the_process) {
  auto by_goroutine = [] {
    shared_mutex m;
    m.lock();
    go([&] { m.unlock(); });
    until([] { return false; });
  };
  auto shared_by_goroutine = [] {
    shared_mutex m;
    m.lock_shared();
    go([&] { m.unlock_shared(); });
    until([] { return false; });
  };
  auto shared_by_thread = [] {
    shared_mutex m;
    go([&] {
      m.lock_shared();
      std::thread([&] { m.unlock_shared(); }).join();
    });
    until([] { return false; });
  };
  constexpr const char* text = "^fatal error: sync: unlock by a goroutine that does not hold the mutex\n";
  EXPECT_EXIT(by_goroutine(), ExitedWithCode(2), text);
  EXPECT_EXIT(shared_by_goroutine(), ExitedWithCode(2), text);
  EXPECT_EXIT(shared_by_thread(), ExitedWithCode(2), text);
}

TEST_F(shared_misuse, an_upgrade_blocks_for_ever) {
  auto body = [] {
    std::atomic<int> through{0};
    go([&] {
      shared_mutex m;
      m.lock_shared();
      m.lock();
      through++;
    });
    until_parked(1);
    std::_Exit(through);
  };
  EXPECT_EXIT(body(), ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace stray
