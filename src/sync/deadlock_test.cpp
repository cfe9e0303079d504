// The global deadlock ends the process with Go's words; anything that could still act prevents it.
#include "runtime/deadlock.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/mutex.hpp>
#include <stray/select.hpp>
#include <stray/wait_group.hpp>
#include "base/arch.h"

namespace stray::runtime {
namespace {

using namespace std::chrono_literals;
using testing::ExitedWithCode;

class deadlock : public testing::Test {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
#if defined(STRAY_TSAN)
    GTEST_SKIP() << "ThreadSanitizer has a thread of its own, of which nobody knows whether it will act";
#endif
  }
};
const char* const text = "^fatal error: all goroutines are asleep - deadlock!\n\n(.|\n)*(goroutine|thread) [0-9]+ ";

TEST_F(deadlock, main_alone) { EXPECT_EXIT(make_chan<int>().recv(), ExitedWithCode(2), text); }
TEST_F(deadlock, main_and_goroutines) {
  auto body = [] {
    auto a = make_chan<int>();
    wait_group wg;
    for (int i = 0; i < 10; i++) wg.go([a] { a.recv(); });
    wg.wait();
  };
  EXPECT_EXIT(body(), ExitedWithCode(2), text);
}
TEST_F(deadlock, main_and_another_thread) {
  auto body = [] {
    mutex m;
    m.lock();
    std::thread other([&] { m.lock(); });
    select();
  };
  EXPECT_EXIT(body(), ExitedWithCode(2), text);
}
// It comes later: main blocks in a process that has been quiet for long, or a thread ends that could have acted.
TEST_F(deadlock, after_a_long_quiet) {
  auto body = [] {
    maxprocs();
    std::this_thread::sleep_for(900ms);
    make_chan<int>().recv();
  };
  EXPECT_EXIT(body(), ExitedWithCode(2), text);
}
TEST_F(deadlock, after_the_end_of_a_thread) {
  auto body = [] {
    std::thread([] { std::this_thread::sleep_for(700ms); }).detach();
    make_chan<int>().recv();
  };
  EXPECT_EXIT(body(), ExitedWithCode(2), text);
}

void exits_by_itself(void (*body)()) {
  EXPECT_EXIT(
      {
        body();
        std::_Exit(0);
      },
      ExitedWithCode(0), "^$");
}
TEST_F(deadlock, is_none_while_somebody_sleeps) {
  exits_by_itself([] {
    auto a = make_chan<int>();
    go([a] {
      sleep_for(800ms);
      a.send(1);
    });
    a.recv();
  });
}
TEST_F(deadlock, is_none_while_a_thread_may_act) {
  exits_by_itself([] {
    auto a = make_chan<int>();
    std::thread([a] {
      std::this_thread::sleep_for(800ms);
      a.send(1);
    }).detach();
    a.recv();
  });
}
TEST_F(deadlock, is_none_in_a_blocking_call) {
  exits_by_itself([] {
    auto a = make_chan<int>();
    go([a] {
      blocking([] { ::usleep(800'000); });
      a.send(1);
    });
    a.recv();
  });
}
TEST_F(deadlock, is_none_in_a_plain_system_call) {
  exits_by_itself([] {
    auto a = make_chan<int>();
    go([a] {
      ::usleep(800'000);
      a.send(1);
    });
    a.recv();
  });
}
TEST_F(deadlock, is_none_while_main_is_busy) {
  exits_by_itself([] {
    auto a = make_chan<int>();
    go([a] { a.recv(); });
    std::this_thread::sleep_for(800ms);
  });
}
TEST_F(deadlock, can_be_switched_off) {
  auto hangs = [] {
    ::alarm(1);
    make_chan<int>().recv();
  };
  EXPECT_EXIT((setenv("STRAY_DEADLOCK", "off", 1), hangs()), testing::KilledBySignal(SIGALRM), "^$");
  EXPECT_EXIT((deadlock_check(false), hangs()), testing::KilledBySignal(SIGALRM), "^$");
}

}  // namespace
}  // namespace stray::runtime
