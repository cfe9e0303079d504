// How the library ends the process, and its small pieces: messages, clock, system calls, the stop signal.
#include "base/check.h"

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <unistd.h>

#include "base/clock.h"
#include "base/stop_signal.h"
#include "base/syscalls.h"

namespace stray::base {
namespace {

TEST(check, fatal_says_the_text_and_exits_with_2) {
  EXPECT_EXIT(fatal("sync: something"), testing::ExitedWithCode(2), "^fatal error: sync: something\n");
}

TEST(check, a_false_condition_names_itself_and_aborts) {
  int one = 1;
  STRAY_CHECK(one == 1);
  EXPECT_EXIT(STRAY_CHECK(one == 2), testing::KilledBySignal(SIGABRT),
              "internal error: one == 2 is false at .*check_test.cpp:[0-9]+;");
}

void wait_asleep(int tid) {
  std::string word;
  do {
    std::ifstream("/proc/self/task/" + std::to_string(tid) + "/syscall") >> word;
  } while (word.empty() || word == "running");
}

// Two threads fail at a time: the first sits in its report, since stderr takes no more; the second must not end the process meanwhile.
[[noreturn]] void fail_twice() {
  int ends[2], real = dup(STDERR_FILENO);
  if (pipe2(ends, O_NONBLOCK) != 0) _exit(1);
  char byte = 'x';
  while (write(ends[1], &byte, 1) == 1) {
  }
  fcntl(ends[1], F_SETFL, 0);
  dup2(ends[1], STDERR_FILENO);
  std::atomic<int> tid{0};
  auto fail = [&](const char* text) {
    tid.store(0);
    std::thread([&, text] {
      tid.store(sys::gettid());
      fatal(text);
    }).detach();
    while (tid.load() == 0) {
    }
    wait_asleep(tid.load());
  };
  fail("first");
  fail("second");
  std::string all = "the second waits\n";
  if (write(real, all.data(), all.size()) < 0) _exit(1);
  char some[4096];
  for (;;) (void)!read(ends[0], some, sizeof some);
}
TEST(check, a_second_failure_waits_for_the_first_ones_report) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(fail_twice(), testing::ExitedWithCode(2), "^the second waits\n");
}

TEST(check, evaluates_its_condition_once) {
  int n = 0;
  STRAY_CHECK(++n > 0);
  EXPECT_EQ(n, 1);
}

TEST(say, writes_one_line_and_cuts_a_long_one) {
  EXPECT_EXIT((say("%s", std::string(5000, 'x').c_str()), say("the %d end", 7), _exit(0)), testing::ExitedWithCode(0),
              "^x{1022}\nthe 7 end\n$");
}

TEST(clock, does_not_go_back_and_converts) {
  std::int64_t a = now_ns(), b = now_ns();
  EXPECT_LE(a, b);
  timespec t = to_timespec(3'000'000'007);
  EXPECT_EQ(t.tv_sec, 3);
  EXPECT_EQ(t.tv_nsec, 7);
  t = to_timespec(-5);
  EXPECT_EQ(t.tv_sec, 0);
  EXPECT_EQ(t.tv_nsec, 0);
}

TEST(syscalls, answer_what_the_kernel_answers) {
  EXPECT_EQ(sys::getpid(), getpid());
  EXPECT_EQ(sys::gettid(), gettid());
  EXPECT_EQ(sys::open("/nonexistent/file", 0), -ENOENT);
  int fd = sys::open("/proc/self/stat", 0);
  ASSERT_GE(fd, 0);
  char text[16] = {};
  EXPECT_GT(sys::read(fd, text, sizeof text), 0);
  EXPECT_EQ(std::atoi(text), getpid());
  char again[16] = {};
  EXPECT_GT(sys::pread(fd, again, 4, 0), 0);
  EXPECT_EQ(std::string(again, 4), std::string(text, 4));
  sys::close(fd);
  EXPECT_EQ(sys::read(fd, text, 1), -EBADF);
}

TEST(stop_signal, is_a_free_real_time_signal_and_stays) {
  int s = stop_signal();
  EXPECT_GE(s, SIGRTMIN);
  EXPECT_LE(s, SIGRTMAX);
  EXPECT_EQ(stop_signal(), s);
}

TEST(stop_signal, passes_over_what_the_program_uses) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a fresh process: the choice is made once
  EXPECT_EXIT((std::signal(SIGRTMIN, [](int) {}), _exit(stop_signal() == SIGRTMIN + 1 ? 0 : 1)), testing::ExitedWithCode(0),
              "");
}

}  // namespace
}  // namespace stray::base
