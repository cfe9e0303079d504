// Threads that a stop must not harm, or cannot have: in sigwait, in vfork, made by the kernel.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <memory>
#include <new>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/clock.h"
#include "trace/ptrace_stop.h"
#include "trace/stop.h"
#include "trace/task_list.h"
#include "trace/test_support.h"

namespace stray::trace {
namespace {

using test::notes_of;

struct stranger_case : ::testing::Test {
  std::unique_ptr<note_log> log = std::make_unique<note_log>();
  stop_setup setup;
  void SetUp() override { ASSERT_TRUE(init_stop(setup)); }
};

// The kernel lifts the mask inside sigwait, so it looks as if the thread took our signal; but sigwait would return it.
TEST_F(stranger_case, a_thread_in_sigwait_for_every_signal_is_not_given_ours) {
  std::atomic<int> tid{0};
  int got = 0;
  std::thread waiter([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    tid.store(static_cast<int>(syscall(SYS_gettid)));
    sigwait(&all, &got);
  });
  while (tid.load() == 0) std::this_thread::yield();
  for (task_sleep now; !look_at_sleep(tid.load(), now) || !now.asleep;) std::this_thread::yield();
  EXPECT_FALSE(task_blocks(tid.load(), setup.signal));
  EXPECT_EQ(task_awaits(tid.load(), setup.signal), awaits::yes);
  const bool by_ptrace = allow_ptrace(false);
  for (int i = 0; i < 40; i++) {
    if (i == 20)
      allow_ptrace(by_ptrace);  // interrupted and restarted, by whatever means: sigwait returns the user's signals only
    log->used = 0;
    ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
    ASSERT_EQ(stop_threads(*log), stop_result::done);
    bool stopped = stopped_threads().size != 1 || stopped_threads()[0].stopped;
    if (i >= 20) {
      release_threads();
      continue;
    }
    release_threads();
    EXPECT_FALSE(stopped);
    std::string expected = " is in sigwait for signal " + std::to_string(setup.signal) + ": it could not be stopped";
    EXPECT_NE(notes_of(*log).find(expected), std::string::npos) << notes_of(*log);
  }
  pthread_kill(waiter.native_handle(), SIGUSR1);
  waiter.join();
  EXPECT_EQ(got, SIGUSR1);
}

// It waits and blocks in turn: whatever the moment, sigwait returns the user's signals only.
TEST_F(stranger_case, a_thread_that_calls_sigwait_again_and_again_never_gets_ours) {
  std::atomic<bool> ready{false};
  std::atomic<int> own{0}, others{0};
  std::thread waiter([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    ready.store(true);
    for (int got = 0; got != SIGTERM;) {
      sigwait(&all, &got);
      if (got == SIGUSR1) own.fetch_add(1);
      if (got != SIGUSR1 && got != SIGTERM) others.fetch_add(1);
    }
  });
  while (!ready.load()) std::this_thread::yield();
  for (int i = 0; i < 200; i++) {
    int seen = own.load();
    pthread_kill(waiter.native_handle(), SIGUSR1);
    while (own.load() == seen) std::this_thread::yield();
    ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
    ASSERT_EQ(stop_threads(*log), stop_result::done);
    release_threads();
  }
  pthread_kill(waiter.native_handle(), SIGTERM);
  waiter.join();
  EXPECT_GT(own.load(), 0);
  EXPECT_EQ(others.load(), 0);
}

// They are in the list of tasks, and never answer.
TEST_F(stranger_case, io_urings_own_workers_are_left_alone) {
  io_uring_params params{};
  int ring = static_cast<int>(syscall(SYS_io_uring_setup, 8, &params));
  if (ring < 0) GTEST_SKIP() << "io_uring is not allowed here: " << std::strerror(errno);
  std::size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  auto* sq = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING));
  void* sqes = mmap(nullptr, 8 * sizeof(io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  ASSERT_NE(static_cast<void*>(sq), MAP_FAILED);
  ASSERT_NE(sqes, MAP_FAILED);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  static char byte;
  auto& e = *new (sqes) io_uring_sqe{};
  e.opcode = IORING_OP_READ;
  e.fd = ends[0];
  e.addr = reinterpret_cast<std::uintptr_t>(&byte);
  e.len = 1;
  e.flags = IOSQE_ASYNC;
  *reinterpret_cast<unsigned*>(sq + params.sq_off.array) = 0;
  reinterpret_cast<std::atomic<unsigned>*>(sq + params.sq_off.tail)->store(1);
  ASSERT_EQ(syscall(SYS_io_uring_enter, ring, 1, 0, 0, nullptr, 0), 1);
  std::size_t workers = 0;
  while (workers == 0) {
    each_task([&](int tid) {
      task_look look;
      workers += look_at_task(tid, look) && look.kernel_worker ? 1 : 0;
    });
  }
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  ASSERT_EQ(stop_threads(*log), stop_result::done);
  std::size_t listed = stopped_threads().size;
  release_threads();
  EXPECT_EQ(listed, 0u);
  EXPECT_EQ(log->used, 0u) << notes_of(*log);
  munmap(sq, size);
  munmap(sqes, 8 * sizeof(io_uring_sqe));
  close(ring);
  close(ends[0]);
  close(ends[1]);
}

// The parent of a vfork sleeps uninterruptibly until its child lets go of the memory.
TEST_F(stranger_case, a_thread_in_vfork_is_given_up_soon_and_stopped_the_next_time) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::atomic<int> tid{0};
  std::thread parent([&] {
    tid.store(static_cast<int>(syscall(SYS_gettid)));
    pid_t child = vfork();
    if (child == 0) {
      char c;
      (void)!base::sys::read(ends[0], &c, 1);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    while (tid.load() != 0) std::this_thread::yield();
  });
  task_look look;
  while (tid.load() == 0 || !look_at_task(tid.load(), look) || look.state != 'D') std::this_thread::yield();
  std::int64_t start = base::now_ns();
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  ASSERT_EQ(stop_threads(*log), stop_result::done);
  std::int64_t took = base::now_ns() - start;
  bool stopped = stopped_threads().size != 1 || stopped_threads()[0].stopped;
  release_threads();
  EXPECT_FALSE(stopped);
  EXPECT_NE(notes_of(*log).find("did not answer: it could not be stopped"), std::string::npos) << notes_of(*log);
  EXPECT_LT(took, 1'000'000'000);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  log->used = 0;
  while (!look_at_task(tid.load(), look) || look.state == 'D') std::this_thread::yield();
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  ASSERT_EQ(stop_threads(*log), stop_result::done);
  stopped = stopped_threads().size == 1 && stopped_threads()[0].stopped;
  release_threads();
  EXPECT_TRUE(stopped) << notes_of(*log);
  tid.store(0);
  parent.join();
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace stray::trace
