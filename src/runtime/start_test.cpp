// The runtime starts at its first use and not before, obeys its settings or says what is wrong with them, and stops quietly at exit.
// Each test is a process of its own.
#include "runtime/start.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#include <stray/go.hpp>
#include "runtime/service_thread.h"
#include "runtime/stack.h"
#include "runtime/started.h"
#include "runtime/thread.h"

namespace stray::runtime {
namespace {

using namespace std::chrono_literals;
using testing::ExitedWithCode;

// The value of a line of /proc/self/task/TID/status, for every thread whose name begins with "stray".
std::vector<std::string> our_threads(const std::string& line_name) {
  std::vector<std::string> found;
  DIR* dir = opendir("/proc/self/task");
  while (dirent* entry = readdir(dir)) {
    std::ifstream status(std::string("/proc/self/task/") + entry->d_name + "/status");
    std::string line, name, value;
    while (std::getline(status, line)) {
      if (line.starts_with("Name:\t")) name = line.substr(6);
      if (line.starts_with(line_name + ":\t")) value = line.substr(line_name.size() + 2);
    }
    if (name.starts_with("stray")) found.push_back(value);
  }
  closedir(dir);
  return found;
}

class start : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::_Exit(1);
}

TEST_F(start, is_at_the_first_use_only) {
  auto body = [] {
    check(!started() && our_threads("Pid").empty(), "no thread before");
    check(goroutine_id() == 0 && num_goroutine() == 0 && !started(), "asking who I am starts nothing");
    yield();
    check(!started(), "yield on a thread starts nothing");
    std::atomic<bool> ran{false};
    go([&] { ran = true; });
    while (!ran.load()) std::this_thread::yield();
    check(started() && our_threads("Pid").size() >= static_cast<std::size_t>(maxprocs()) + 1, "the workers and the watcher");
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), ExitedWithCode(0), "");
}

// A process with shadow stacks, as far as it can tell: arch_prctl(ARCH_SHSTK_STATUS) is answered by a handler.
bool claim_shadow_stacks() {
  struct sigaction answer {};
  answer.sa_flags = SA_SIGINFO;
  answer.sa_sigaction = [](int, siginfo_t*, void* context) {
    greg_t* regs = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    *reinterpret_cast<std::uint64_t*>(regs[REG_RSI]) = 1;
    regs[REG_RAX] = 0;
  };
  sigaction(SIGSYS, &answer, nullptr);
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
                        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x5005, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program{6, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_F(start, is_refused_with_shadow_stacks) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "TSan delays handlers";
#endif
  auto body = [] {
    if (!claim_shadow_stacks()) {
      std::fprintf(stderr, "fatal error: goroutines cannot run with shadow stacks: not tried, seccomp is refused here\n");
      std::_Exit(2);
    }
    go([] {});
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), ExitedWithCode(2), "^fatal error: goroutines cannot run with shadow stacks");
}

TEST_F(start, by_many_threads_at_once_is_one_start) {
  auto body = [] {
    std::atomic<int> ran{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) threads.emplace_back([&] { go([&] { ran++; }); });
    for (std::thread& t : threads) t.join();
    while (ran.load() != 8) std::this_thread::yield();
    check(our_threads("Pid").size() < static_cast<std::size_t>(maxprocs()) + 4, "one set of threads");
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), ExitedWithCode(0), "");
}

TEST_F(start, obeys_maxprocs_of_the_environment) {
  auto body = [] {
    setenv("STRAY_MAXPROCS", "3", 1);
    std::_Exit(maxprocs());
  };
  EXPECT_EXIT(body(), ExitedWithCode(3), "^$");
}

TEST_F(start, says_what_is_wrong_with_a_setting) {
  auto body = [](const char* text) {
    setenv("STRAY_MAXPROCS", text, 1);
    check(maxprocs() >= 1, "the default");
    std::_Exit(0);
  };
  EXPECT_EXIT(body("abc"), ExitedWithCode(0), "^stray: STRAY_MAXPROCS=abc is not a number from 1 to 256; using the default");
  EXPECT_EXIT(body("0"), ExitedWithCode(0), "^stray: STRAY_MAXPROCS=0 is not");
  EXPECT_EXIT(body("-2"), ExitedWithCode(0), "^stray: STRAY_MAXPROCS=-2 is not");
  EXPECT_EXIT(body("2x"), ExitedWithCode(0), "^stray: STRAY_MAXPROCS=2x is not");
  EXPECT_EXIT(body("257"), ExitedWithCode(0), "^stray: STRAY_MAXPROCS=257 is not");
  EXPECT_EXIT(body("99999999999999999999"), ExitedWithCode(0), "^stray: STRAY_MAXPROCS=99999999999999999999 is not");
  EXPECT_EXIT(body(""), ExitedWithCode(0), "^$");
}

TEST_F(start, obeys_the_stack_size_of_the_environment) {
  auto body = [](const char* text, unsigned expected) {
    setenv("STRAY_STACK_SIZE", text, 1);
    maxprocs();
    check(default_stack_class() == expected, text);
    std::_Exit(0);
  };
  EXPECT_EXIT(body("65536", 0), ExitedWithCode(0), "^$");
  EXPECT_EXIT(body("128k", 1), ExitedWithCode(0), "^$");
  EXPECT_EXIT(body("1m", 4), ExitedWithCode(0), "^$");
  EXPECT_EXIT(body("many", 0), ExitedWithCode(0), "^stray: STRAY_STACK_SIZE=many is not a number from 1 to 1073741824");
}

TEST_F(start, our_threads_leave_the_signals_to_the_host) {
  auto right = [] {
    bool all = true;
    for (const std::string& mask : our_threads("SigBlk")) {
      unsigned long long blocked = std::stoull(mask, nullptr, 16);
      for (int s : {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGALRM, SIGPIPE}) all = all && (blocked >> (s - 1) & 1);
      for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF}) all = all && !(blocked >> (s - 1) & 1);
    }
    return all;
  };
  auto body = [&] {
    alarm(20);
    maxprocs(3);
    while (!right()) std::this_thread::yield();  // libc starts a thread with everything blocked, for a moment
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, nullptr, &mine);
    check(!sigismember(&mine, SIGTERM), "the starter's own mask is as before");
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), ExitedWithCode(0), "");
}

std::atomic<long> sink{0};
// A bound on the time of the whole process, start included; at exit alone it is 100 ms.
template <class F>
void ends_in_time(F body, int code) {
  auto before = std::chrono::steady_clock::now();
  EXPECT_EXIT(body(), ExitedWithCode(code), "^$");
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
}

TEST_F(start, exit_with_running_yielding_and_sleeping_goroutines_is_quiet) {
  ends_in_time(
      [] {
        std::atomic<int> up{0};
        go([&] {
          up++;
          for (;;) sink++;
        });
        for (int i = 0; i < 10; i++) {
          go([&] {
            up++;
            for (;;) yield();
          });
          go([&] {
            up++;
            for (;;) sleep_for(1ms);
          });
        }
        if (maxprocs() == 1) maxprocs(2);
        while (up.load() != 21) std::this_thread::yield();
        std::exit(0);
      },
      0);
}

TEST_F(start, exit_by_a_goroutine_is_quiet) {
  ends_in_time(
      [] {
        go([] { std::exit(5); });
        for (;;) pause();
      },
      5);
}

TEST_F(start, exit_at_once_is_quiet) {
  ends_in_time(
      [] {
        go([] {});
        std::exit(0);
      },
      0);
}

TEST(thread_identity, is_the_start_time_of_a_thread_that_exists) {
  std::uint64_t mine = thread_start_time(gettid());
  EXPECT_NE(mine, 0u);
  EXPECT_EQ(thread_start_time(gettid()), mine);
  int tid = 0;
  std::thread([&] {
    tid = gettid();
    EXPECT_GE(thread_start_time(tid), mine);
  }).join();
  while (thread_start_time(tid) != 0) std::this_thread::yield();  // join may return a little before the kernel forgets it
}

}  // namespace
}  // namespace stray::runtime
