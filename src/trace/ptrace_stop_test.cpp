// Threads that the signal cannot reach are stopped by a helper process; what it may not, it says.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "base/clock.h"
#include "trace/ptrace_case.h"
#include "trace/ptrace_stop.h"
#include "trace/stop.h"
#include "trace/test_support.h"

namespace stray::trace {
namespace {

using test::notes_of;

void wait_asleep(const std::atomic<int>& tid) {
  for (task_sleep now; tid.load() == 0 || !look_at_sleep(tid.load(), now) || !now.asleep;) std::this_thread::yield();
}

struct ptrace_case : ::testing::Test {
  std::unique_ptr<note_log> log = std::make_unique<note_log>();
  stop_setup setup;
  void SetUp() override {
    ASSERT_TRUE(init_stop(setup));
    if (!test::may_trace()) GTEST_SKIP() << "a child may not trace its parent here: kernel.yama.ptrace_scope or a sandbox";
  }
  // Stops all, looks, lets them go.
  template <class F>
  void with_all_stopped(F look) {
    log->used = 0;
    ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log)) << notes_of(*log);
    ASSERT_EQ(stop_threads(*log), stop_result::done) << notes_of(*log);
    look();
    release_threads();
  }
  unsigned not_stopped() const {
    unsigned n = 0;
    for (const stopped_thread& t : stopped_threads()) n += t.stopped ? 0 : 1;
    return n;
  }
};

TEST_F(ptrace_case, forty_threads_that_block_every_signal_stand_still) {
  constexpr int n = 40;  // three helpers
  std::atomic<bool> quit{false};
  std::atomic<std::uint64_t> steps{0};
  std::atomic<int> running{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < n; i++) {
    threads.emplace_back([&] {
      test::block_every_signal();
      running.fetch_add(1);
      while (!quit.load()) {
        steps.fetch_add(1);
        std::this_thread::yield();
      }
    });
  }
  while (running.load() != n) std::this_thread::yield();
  const std::uint64_t sent = signals_sent();
  int complete = 0;
  for (int round = 0; round < 20; round++) {
    with_all_stopped([&] {
      if (not_stopped() != 0) return;  // no processor for one of them in 200 ms: it must have been said
      complete++;
      const std::uint64_t before = steps.load();
      for (int i = 0; i < 100; i++) syscall(SYS_sched_yield);
      EXPECT_EQ(steps.load(), before);
      EXPECT_TRUE(still_stopped());
      EXPECT_EQ(stopped_threads().size, static_cast<std::size_t>(n));
      for (const stopped_thread& t : stopped_threads()) EXPECT_TRUE(t.fs_base != 0 && t.context != nullptr && t.sp != 0);
    });
    EXPECT_TRUE(not_stopped() == 0 || log->used != 0);
    const std::uint64_t before = steps.load();
    while (steps.load() == before) std::this_thread::yield();  // they go on
  }
  EXPECT_GT(complete, 0);
  EXPECT_EQ(signals_sent(), sent);
  quit = true;
  for (auto& t : threads) t.join();
}

TEST_F(ptrace_case, blocking_calls_go_on) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::atomic<int> tids[3]{};
  int polled = -1, slept = -1;
  ssize_t got = -1;
  std::thread poller([&] {
    test::block_every_signal();
    tids[0].store(gettid());
    pollfd p{ends[0], POLLIN, 0};
    polled = poll(&p, 1, 60'000);
  });
  std::thread sleeper([&] {
    test::block_every_signal();
    tids[1].store(gettid());
    timespec t{2, 0};
    slept = nanosleep(&t, nullptr);
  });
  std::thread reader([&] {
    test::block_every_signal();
    tids[2].store(gettid());
    char c;
    got = read(ends[0], &c, 1);
  });
  for (auto& tid : tids) wait_asleep(tid);
  int complete = 0;
  for (int round = 0; round < 20; round++) {
    with_all_stopped([&] {
      EXPECT_TRUE(not_stopped() == 0 || log->used != 0);
      complete += not_stopped() == 0 ? 1 : 0;
      for (const stopped_thread& t : stopped_threads()) EXPECT_TRUE(t.in_syscall || !t.stopped);
    });
    for (auto& tid : tids) wait_asleep(tid);
  }
  ASSERT_EQ(write(ends[1], "xy", 1), 1);
  reader.join();
  ASSERT_EQ(write(ends[1], "xy", 1), 1);
  poller.join();
  sleeper.join();
  EXPECT_EQ(got, 1);
  EXPECT_EQ(polled, 1);
  EXPECT_GT(complete, 0);
  EXPECT_EQ(slept, 0);
  close(ends[0]);
  close(ends[1]);
}

std::atomic<int> handled{0};

TEST_F(ptrace_case, a_signal_that_comes_meanwhile_is_handed_on) {
  struct sigaction count {
  }, before{};
  count.sa_handler = [](int) { handled.fetch_add(1); };
  sigaction(SIGUSR1, &count, &before);
  std::atomic<int> tid{0};
  std::atomic<bool> quit{false};
  std::thread busy([&] {
    sigset_t most;
    sigfillset(&most);
    sigdelset(&most, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &most, nullptr);
    tid.store(gettid());
    while (!quit.load()) std::this_thread::yield();
  });
  while (tid.load() == 0) std::this_thread::yield();
  int sent = 0;
  std::atomic<bool> enough{false};
  std::thread sender([&] {
    test::block_every_signal();
    for (; !enough.load(); sent++) {
      const int seen = handled.load();
      pthread_kill(busy.native_handle(), SIGUSR1);
      while (handled.load() == seen) std::this_thread::yield();
    }
  });
  for (int round = 0; round < 200; round++) with_all_stopped([] {});
  enough = true;
  sender.join();
  quit = true;
  busy.join();
  sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(handled.load(), sent);
  EXPECT_GT(sent, 0);
}

// Children of this thread.
std::vector<pid_t> children() {
  char path[64], text[256] = {};
  std::snprintf(path, sizeof path, "/proc/self/task/%d/children", gettid());
  int fd = open(path, O_RDONLY);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) return {};
  close(fd);
  std::vector<pid_t> all;
  for (char* at = text; long pid = std::strtol(at, &at, 10);) all.push_back(static_cast<pid_t>(pid));
  return all;
}

TEST_F(ptrace_case, a_stop_whose_helper_is_killed_is_void) {
  std::atomic<bool> quit{false}, runs{false};
  std::thread busy([&] {
    test::block_every_signal();
    runs = true;
    while (!quit.load()) std::this_thread::yield();
  });
  while (!runs.load()) std::this_thread::yield();
  bool held = false, holds_after = true;
  with_all_stopped([&] {
    held = still_stopped();
    for (pid_t pid : children()) {
      syscall(SYS_kill, pid, SIGKILL);
      for (siginfo_t info{};
           syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOWAIT | __WALL, nullptr) == 0 && info.si_pid != pid;) {
      }
    }
    holds_after = still_stopped();
  });
  EXPECT_TRUE(held);
  EXPECT_FALSE(holds_after);
  with_all_stopped([&] { EXPECT_TRUE(not_stopped() == 0 || log->used != 0); });
  EXPECT_TRUE(children().empty());
  quit = true;
  busy.join();
}

TEST_F(ptrace_case, who_has_waited_out_the_stop_runs_on_and_the_stop_is_void) {
  std::atomic<bool> quit{false};
  std::atomic<std::uint64_t> steps{0};
  std::thread busy([&] {
    test::block_every_signal();
    while (!quit.load()) steps.fetch_add(1);
  });
  while (steps.load() == 0) std::this_thread::yield();
  with_all_stopped([&] {
    const std::uint64_t at_stop = steps.load();
    EXPECT_TRUE(still_stopped());
    while (still_stopped()) sched_yield();
    while (steps.load() == at_stop) sched_yield();
  });
  quit = true;
  busy.join();
}

// --- where it may not ----------------------------------------------------------------------------------------------------------------

// In a process of its own: a masked thread, what `spoil` does, and what the stop then says.
template <class F>
std::string notes_where(F spoil) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  pid_t child = fork();
  if (child == 0) {
    std::atomic<int> tid{0};
    std::thread busy([&] {
      test::block_every_signal();
      tid.store(gettid());
      for (;;) pause();
    });
    wait_asleep(tid);
    auto log = std::make_unique<note_log>();
    spoil(tid.load());
    bool stopped = false;
    do {  // without a processor for 200 ms it is not stopped, and that is said
      log->used = 0;
      bool done = prepare_stop(nullptr, nullptr, *log) && stop_threads(*log) == stop_result::done;
      stopped = done && stopped_threads().size == 1 && stopped_threads()[0].stopped;
      if (done) release_threads();
    } while (!stopped && notes_of(*log).find("it did not stop for ptrace either") != std::string::npos);
    std::string all = stopped ? "stopped" : notes_of(*log);
    if (write(ends[1], all.data(), all.size()) < 0) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  std::string all;
  char text[512];
  for (ssize_t n; (n = read(ends[0], text, sizeof text)) > 0;) all.append(text, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? all : "the process has ended: " + std::to_string(status);
}

void filter(long call, unsigned action) {
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, action), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

TEST_F(ptrace_case, without_hindrance_it_stops) {
  EXPECT_EQ(notes_where([](int) {}), "stopped");
}
TEST_F(ptrace_case, a_filter_that_allows_it_is_found_out) {
  EXPECT_EQ(notes_where([](int) { filter(SYS_ptrace, SECCOMP_RET_ALLOW); }), "stopped");
}
TEST_F(ptrace_case, a_filter_that_refuses_is_said) {
  EXPECT_NE(notes_where([](int) { filter(SYS_ptrace, SECCOMP_RET_ERRNO | EPERM); }).find("a seccomp filter forbids it"),
            std::string::npos);
}
TEST_F(ptrace_case, a_filter_that_kills_does_no_harm) {
  EXPECT_NE(notes_where([](int) { filter(SYS_ptrace, SECCOMP_RET_KILL_PROCESS); }).find("a seccomp filter forbids it"),
            std::string::npos);
}
// Errno 0: the call answers as it does in the copy, and there is none.
constexpr unsigned answer_0 = SECCOMP_RET_ERRNO;
TEST_F(ptrace_case, a_filter_that_answers_0_for_clone_does_no_harm) {
  EXPECT_NE(notes_where([](int) { filter(SYS_clone, answer_0); }).find("a seccomp filter forbids it"), std::string::npos);
}
TEST(snapshot, a_filter_that_answers_0_for_clone_is_said) {
  ASSERT_TRUE(init_snapshot());
  const pid_t child = fork();
  if (child == 0) {
    forget_snapshot();
    filter(SYS_clone, answer_0);
    snapshot_request request;
    request.who = test::blank_client();
    request.decide = [](void*, image&) noexcept {};
    const snapshot_outcome out = take_snapshot(request);
    _exit(!out.ok && std::string(out.why).find("clone was refused") == 0 ? 77 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 77) << status;
}
TEST_F(ptrace_case, a_thread_under_a_debugger_is_said) {
  const std::string notes = notes_where([](int tid) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      char ok = ::ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) == 0 ? 'y' : 'n';
      if (write(ends[1], &ok, 1) == 1) pause();
      _exit(0);
    }
    char ok = 'n';
    if (read(ends[0], &ok, 1) != 1 || ok != 'y') std::abort();
  });
  EXPECT_NE(notes.find("ptrace was refused (EPERM)"), std::string::npos) << notes;
}
TEST_F(ptrace_case, switched_off_it_says_so) {
  const bool before = allow_ptrace(false);
  EXPECT_NE(notes_where([](int) {}).find("blocks signal "), std::string::npos);
  allow_ptrace(before);
}

}  // namespace
}  // namespace stray::trace
