// Permits: a stuck worker, a blocking call and a locked goroutine strand nobody, and at rest there are exactly maxprocs permits.
#include "runtime/permits.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/wait_group.hpp>
#include "base/syscalls.h"
#include "runtime/scheduler.h"

namespace stray::runtime {
namespace {

using namespace std::chrono_literals;

template <class Condition>
void until(Condition c) {
  while (!c()) std::this_thread::yield();
}

int held_permits() {
  scheduler& s = sched();
  int n = s.free_permits.load();
  for (int i = 0; i < s.made.load(); i++) n += s.workers[i].permit.load() != permit::none;
  return n;
}

class permits : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { before_ = maxprocs(GetParam()); }
  void TearDown() override {
    until([] { return num_goroutine() == 0; });
    until([] { return held_permits() == maxprocs() && sched().idle_count.load() == maxprocs() && sched().lent.load() == 0; });
    maxprocs(before_);
  }

 private:
  int before_ = 1;
};
INSTANTIATE_TEST_SUITE_P(procs, permits, testing::Values(1, 2, 4), [](const auto& p) { return std::to_string(p.param); });

struct pipe_pair {
  int in = -1, out = -1;
  pipe_pair() {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    in = ends[0], out = ends[1];
  }
  ~pipe_pair() { ::close(in), ::close(out); }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  void write() const { EXPECT_EQ(::write(out, "x", 1), 1); }
  char read() const {
    char c = 0;
    EXPECT_EQ(::read(in, &c, 1), 1);
    return c;
  }
};

// Every worker spins for a goroutine that is queued behind it.
TEST_P(permits, spinning_goroutines_let_the_others_run) {
  std::atomic<int> spinning{0}, ran{0};
  std::atomic<bool> stop{false};
  for (int i = 0; i < GetParam(); i++) {
    go([&] {
      spinning++;
      go([&] { ran++; });
      while (!stop.load()) {
      }
    });
  }
  until([&] { return ran == GetParam(); });
  stop = true;
  until([] { return num_goroutine() == 0; });  // they read it
}

TEST_P(permits, a_goroutine_that_sleeps_in_the_kernel_lets_the_others_run) {
  pipe_pair p[8];
  std::atomic<int> read{0};
  for (const pipe_pair& one : p) {
    go([&] {
      one.read();
      read++;
    });
  }
  go([&] {
    for (const pipe_pair& one : p) one.write();
  });
  until([&] { return read == 8; });
}

TEST_P(permits, blocking_calls_do_not_hold_up_a_worker) {
  constexpr int n = 60;
  std::vector<pipe_pair> p(n);
  std::atomic<int> inside{0}, right{0};
  for (const pipe_pair& one : p) {
    go([&] {
      std::uint64_t id = goroutine_id();
      mutex m;
      m.lock();
      std::string text = blocking([&] {
        inside++;
        EXPECT_EQ(goroutine_id(), id);
        one.read();
        m.unlock();  // the same goroutine
        return std::string("read");
      });
      right += text == "read" && goroutine_id() == id;
    });
  }
  until([&] { return inside == n; });
  go([&] {
    for (const pipe_pair& one : p) one.write();
  });
  until([&] { return right == n; });
}

TEST_P(permits, blocking_passes_results_and_exceptions_on) {
  std::atomic<bool> done{false};
  int x = 1;
  auto body = [&] {
    EXPECT_EQ(blocking([] { return 42; }), 42);
    blocking([&] { x++; });
    int& r = blocking([&]() -> int& { return x; });
    EXPECT_EQ(&r, &x);
    EXPECT_EQ(*blocking([] { return std::make_unique<int>(7); }), 7);
    EXPECT_THROW(blocking([] { throw std::logic_error("no"); }), std::logic_error);
  };
  body();  // on a thread
  go([&] {
    body();
    done = true;
  });
  until([&] { return done.load(); });
  EXPECT_EQ(x, 3);
}

TEST_P(permits, a_blocking_section_may_use_primitives) {
  constexpr int n = 20;
  auto ch = make_chan<int>();
  wait_group wg;
  std::atomic<int> sum{0};
  for (int i = 0; i < n; i++) {
    wg.go([&, ch] { sum += blocking([&] { return ch.recv().value(); }); });
    wg.go([&, ch, i] {
      blocking([&] {
        yield();
        ch.send(i);
      });
    });
  }
  wg.wait();
  EXPECT_EQ(sum, n * (n - 1) / 2);
}

TEST_P(permits, a_locked_goroutine_stays_on_its_thread_alone) {
  constexpr int n = 3;
  auto ch = make_chan<int>();
  std::atomic<int> ready{0};
  std::atomic<bool> stop{false};
  std::atomic<int> locked_tids[n] = {};
  std::atomic<int> wrong{0};
  wait_group locked, others;
  for (int i = 0; i < n; i++) {
    locked.go([&, i] {
      lock_os_thread();
      lock_os_thread();  // nests
      int tid = base::sys::gettid();
      locked_tids[i] = tid;
      ready++;
      for (int k = 0; k < 100; k++) {
        k % 3 == 0 ? yield() : k % 3 == 1 ? sleep_for(20us) : ch.send(k);
        wrong += base::sys::gettid() != tid;
      }
      unlock_os_thread();
      yield();
      wrong += base::sys::gettid() != tid;
      locked_tids[i] = 0;
      unlock_os_thread();
    });
  }
  std::thread wait([&] { until([&] { return ready == n; }); });
  wait.join();
  for (int i = 0; i < 4; i++) {
    others.go([&] {
      while (!stop.load()) {
        for (const std::atomic<int>& tid : locked_tids) wrong += tid == base::sys::gettid();
        std::optional<int> v;
        if (ch.try_recv(v) != chan_status::ok) yield();
      }
    });
  }
  locked.wait();
  stop = true;
  others.wait();
  EXPECT_EQ(wrong, 0);
}

TEST_P(permits, the_thread_of_a_locked_goroutine_that_has_ended_is_used_again) {
  int before = sched().made.load();
  for (int round = 0; round < 50; round++) {
    wait_group wg;
    for (int i = 0; i < 4; i++) {
      wg.go([] {
        lock_os_thread();
        yield();
      });
    }
    wg.wait();
  }
  EXPECT_LT(sched().made.load(), before + 20);
}

TEST_P(permits, change_while_workers_are_away) {
  std::atomic<bool> stop{false};
  wait_group wg;
  for (int i = 0; i < 6; i++) {
    wg.go([&, i] {
      while (!stop.load()) {
        if (i == 0) lock_os_thread();
        blocking([] { ::usleep(50); });
        if (i == 0) unlock_os_thread();
        yield();
      }
    });
  }
  for (int p : {1, 5, 2, 8, 1, 3, 7, 1, 4}) {
    maxprocs(p);
    std::this_thread::sleep_for(2ms);  // not for synchronisation: whatever happens meanwhile is right
    EXPECT_LE(held_permits(), p + 1);  // one may be on its way
  }
  stop = true;
  wg.wait();
  maxprocs(GetParam());
}

TEST(cpu_share, unlock_without_lock_is_nothing) {
  unlock_os_thread();
  std::atomic<bool> done{false};
  go([&] {
    unlock_os_thread();
    done = true;
  });
  until([&] { return done.load(); });
}

}  // namespace
}  // namespace stray::runtime
