// Stopping threads: what blocks the signal, many threads, threads that come and go, and what happens to the program meanwhile.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <pthread.h>
#include <string>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "base/clock.h"
#include "trace/ptrace_stop.h"
#include "trace/stop.h"
#include "trace/test_support.h"

namespace stray::trace {
namespace {

using test::notes_of;

struct without_ptrace {
  bool before = allow_ptrace(false);
  ~without_ptrace() { allow_ptrace(before); }
};

struct stop_case : ::testing::Test {
  std::unique_ptr<note_log> log = std::make_unique<note_log>();
  stop_setup setup;
  void SetUp() override {
    ASSERT_TRUE(init_stop(setup));
    ASSERT_NE(setup.signal, 0);
  }
};

TEST_F(stop_case, the_signal_is_a_real_time_one_and_handlers_are_kept) {
  EXPECT_GE(setup.signal, SIGRTMIN);
  EXPECT_LE(setup.signal, SIGRTMAX);
  EXPECT_NE(setup.signal_return, 0u);
  stop_setup again;
  ASSERT_TRUE(init_stop(again));
  EXPECT_EQ(again.signal, setup.signal);
}

// With one descriptor each_task has it, and none is left to look at the tasks: a thread that cannot be looked at is not gone.
TEST_F(stop_case, threads_are_stopped_when_descriptors_have_run_out) {
  std::atomic<bool> quit{false}, runs{false};  // a thread that starts blocks all signals
  std::thread worker([&] {
    runs.store(true);
    while (!quit.load()) std::this_thread::yield();
  });
  while (!runs.load()) std::this_thread::yield();
  rlimit before{}, low{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  int next = dup(0);
  close(next);
  low = {static_cast<rlim_t>(next) + 1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  bool prepared = prepare_stop(nullptr, nullptr, *log);
  stop_result result = prepared ? stop_threads(*log) : stop_result::cannot;
  std::size_t stopped = 0;
  if (result == stop_result::done) {
    for (const stopped_thread& t : stopped_threads()) stopped += t.stopped ? 1 : 0;
    release_threads();
  }
  setrlimit(RLIMIT_NOFILE, &before);
  quit = true;
  worker.join();
  EXPECT_EQ(result, stop_result::done) << notes_of(*log);
  EXPECT_EQ(stopped, 1U) << notes_of(*log);
}

TEST_F(stop_case, who_has_waited_out_the_stop_runs_on_and_the_stop_is_void) {
  std::atomic<bool> quit{false};
  std::atomic<std::uint64_t> steps{0};
  std::thread worker([&] {
    while (!quit.load()) steps.fetch_add(1);
  });
  while (steps.load() == 0) std::this_thread::yield();
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  ASSERT_EQ(stop_threads(*log), stop_result::done) << notes_of(*log);
  const std::uint64_t at_stop = steps.load();
  EXPECT_TRUE(still_stopped());
  while (still_stopped()) sched_yield();
  while (steps.load() == at_stop) sched_yield();
  release_threads();
  quit = true;
  worker.join();
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  EXPECT_EQ(stop_threads(*log), stop_result::done) << notes_of(*log);
  EXPECT_TRUE(still_stopped());
  release_threads();
}

TEST_F(stop_case, fifty_threads_stand_still) {
  constexpr int n = 50;
  std::atomic<bool> quit{false};
  std::atomic<std::uint64_t> total{0};
  std::atomic<int> running{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < n; i++) {
    threads.emplace_back([&] {
      running.fetch_add(1);
      while (!quit.load()) {
        if (total.fetch_add(1) % 1024 == 0) std::this_thread::yield();
      }
    });
  }
  while (running.load() != n) std::this_thread::yield();
  std::vector<std::int64_t> times;
  for (int complete = 0; complete < 10;) {
    ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
    std::int64_t start = base::now_ns();
    ASSERT_EQ(stop_threads(*log), stop_result::done);
    times.push_back(base::now_ns() - start);
    slice<stopped_thread> stopped = stopped_threads();
    std::size_t count = 0;
    for (const stopped_thread& t : stopped) {
      count += t.stopped;
      EXPECT_EQ(t.fs_base != 0, t.stopped);
      EXPECT_EQ(t.context != nullptr, t.stopped);
    }
    std::uint64_t before = total.load();
    for (int i = 0; i < 100; i++) syscall(SYS_sched_yield);
    std::uint64_t after = total.load();
    bool held = still_stopped();
    release_threads();
    if (count != n) {  // no processor for one of them in 200 ms: it must have been said
      EXPECT_NE(log->used, 0u);
      log->used = 0;
      times.pop_back();
      continue;
    }
    complete++;
    EXPECT_EQ(before, after);
    EXPECT_TRUE(held);
  }
  quit.store(true);
  for (auto& t : threads) t.join();
  std::sort(times.begin(), times.end());
  std::printf("  50 spinning threads stopped in %.2f ms (median), %.2f ms (worst)\n",
              static_cast<double>(times[times.size() / 2]) / 1e6, static_cast<double>(times.back()) / 1e6);
}

TEST_F(stop_case, a_thread_that_blocks_the_signal_is_reported) {
  without_ptrace signal_only;
  std::atomic<int> tid{0};
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::thread blocker([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pthread_setname_np(pthread_self(), "the blocker");
    tid.store(static_cast<int>(syscall(SYS_gettid)));
    char c;
    if (read(ends[0], &c, 1) != 1) std::abort();
  });
  while (tid.load() == 0) std::this_thread::yield();
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  std::int64_t start = base::now_ns();
  ASSERT_EQ(stop_threads(*log), stop_result::done);
  std::int64_t took = base::now_ns() - start;
  bool found = false;
  for (const stopped_thread& t : stopped_threads()) {
    if (t.tid == tid.load()) {
      found = true;
      EXPECT_FALSE(t.stopped);
      EXPECT_FALSE(t.skipped);
    }
  }
  release_threads();
  EXPECT_TRUE(found);
  std::string expected = "thread " + std::to_string(tid.load()) + " (the blocker) blocks signal " +
                         std::to_string(setup.signal) + ": it could not be stopped";
  EXPECT_NE(notes_of(*log).find(expected), std::string::npos) << notes_of(*log);
  std::printf("  stop took %.2f ms\n", static_cast<double>(took) / 1e6);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  blocker.join();
  close(ends[0]);
  close(ends[1]);
}

TEST_F(stop_case, skipped_threads_run_on) {
  std::atomic<std::uint64_t> count{0};
  static std::atomic<int> tid;
  tid.store(0);
  std::atomic<bool> quit{false};
  std::thread server([&] {
    tid.store(static_cast<int>(syscall(SYS_gettid)));
    while (!quit.load()) count.fetch_add(1);
  });
  while (tid.load() == 0) std::this_thread::yield();
  ASSERT_TRUE(
      prepare_stop([](void*, int id) noexcept { return id == tid.load() ? stop_way::skip : stop_way::stop; }, nullptr, *log));
  ASSERT_EQ(stop_threads(*log), stop_result::done);
  std::uint64_t before = count.load();
  while (count.load() == before) syscall(SYS_sched_yield);
  slice<stopped_thread> all = stopped_threads();
  bool seen = all.size == 1 && all[0].skipped && !all[0].stopped;
  release_threads();
  EXPECT_TRUE(seen);
  quit.store(true);
  server.join();
}

TEST_F(stop_case, threads_that_start_and_end_meanwhile) {
  std::atomic<bool> quit{false};
  std::atomic<std::uint64_t> born{0}, work{0};
  std::vector<std::thread> makers;
  for (int i = 0; i < 3; i++) {
    makers.emplace_back([&] {
      while (!quit.load()) {
        std::thread child([&] {
          born.fetch_add(1);
          work.fetch_add(1);
        });
        child.join();
      }
    });
  }
  while (born.load() < 100) std::this_thread::yield();
  int stopped_rounds = 0;
  for (int round = 0; round < 100; round++) {
    log->used = 0;
    ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
    ASSERT_EQ(stop_threads(*log), stop_result::done) << notes_of(*log);
    bool all = true;
    for (const stopped_thread& t : stopped_threads()) all &= t.stopped;
    std::uint64_t before = born.load() + work.load();
    for (int i = 0; i < 50; i++) syscall(SYS_sched_yield);
    std::uint64_t after = born.load() + work.load();
    release_threads();
    if (!all) continue;  // a thread on its way to start or end had everything blocked for long: reported, nothing to prove
    stopped_rounds++;
    EXPECT_EQ(before, after);
  }
  EXPECT_GT(stopped_rounds, 50);
  quit.store(true);
  for (auto& t : makers) t.join();
}

TEST_F(stop_case, errno_and_blocking_calls_survive) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::atomic<int> in_read{0};
  std::atomic<bool> quit{false};
  ssize_t got = -2;
  int wrong_errno = 0;
  std::thread reader([&] {
    char c;
    in_read.store(1);
    got = read(ends[0], &c, 1);
  });
  std::thread keeper([&] {
    while (!quit.load()) {
      errno = 4711;
      for (int i = 0; i < 1000; i++) {
        if (errno != 4711) wrong_errno++;
        asm volatile("" ::: "memory");
      }
    }
  });
  while (in_read.load() == 0) std::this_thread::yield();
  for (int round = 0; round < 50; round++) {
    ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
    ASSERT_EQ(stop_threads(*log), stop_result::done);
    release_threads();
  }
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  reader.join();
  quit.store(true);
  keeper.join();
  EXPECT_EQ(got, 1);
  EXPECT_EQ(wrong_errno, 0);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(stop_case, a_replaced_handler_means_no_stop) {
  struct sigaction ours {
  }, other{};
  other.sa_handler = SIG_IGN;
  ASSERT_EQ(sigaction(setup.signal, &other, &ours), 0);
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  EXPECT_EQ(stop_threads(*log), stop_result::cannot);
  EXPECT_NE(notes_of(*log).find("was replaced"), std::string::npos);
  ASSERT_EQ(sigaction(setup.signal, &ours, nullptr), 0);
  ASSERT_TRUE(prepare_stop(nullptr, nullptr, *log));
  EXPECT_EQ(stop_threads(*log), stop_result::done);
  release_threads();
}

// --- snapshots as a whole -------------------------------------------------------------------------------------------------------------

snapshot_outcome ask(void (*decide)(void*, image&) noexcept, void* arg, slice<const range> hidden,
                     std::int64_t limit_ns = 60'000'000'000) {
  snapshot_request request;
  request.who = test::blank_client();
  request.decide = decide;
  request.arg = arg;
  request.hidden = hidden;
  request.time_limit_ns = limit_ns;
  return take_snapshot(request);
}

TEST(snapshot, a_blocking_thread_makes_it_unprovable) {
  without_ptrace signal_only;
  ASSERT_TRUE(init_snapshot());
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::atomic<bool> ready{false};
  std::thread blocker([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    ready.store(true);
    char c;
    if (read(ends[0], &c, 1) != 1) std::abort();
  });
  while (!ready.load()) std::this_thread::yield();
  test::shared_with_child<int> out;
  snapshot_outcome outcome =
      ask([](void* a, image& in) noexcept { *static_cast<int*>(a) = static_cast<int>(in.unstopped); }, &*out, out.hidden());
  EXPECT_TRUE(outcome.ok) << outcome.why;
  EXPECT_EQ(outcome.unstopped, 1u);
  EXPECT_EQ(*out, 1);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  blocker.join();
  close(ends[0]);
  close(ends[1]);
}

TEST(snapshot, a_child_that_takes_too_long_is_ended) {
  ASSERT_TRUE(init_snapshot());
  snapshot_outcome outcome = ask(
      [](void*, image&) noexcept {
        for (volatile int forever = 1; forever != 0;) base::sys::call(SYS_sched_yield);
      },
      nullptr, {}, 50'000'000);
  EXPECT_FALSE(outcome.ok);
  EXPECT_NE(std::string(outcome.why).find("time limit of 50 ms"), std::string::npos) << outcome.why;
}

// Of the tracer itself, or of a client: what is not there reads as zeros.
TEST(snapshot, a_wild_read_is_said_and_proves_nothing) {
  ASSERT_TRUE(init_snapshot());
  struct wild {
    const volatile std::uintptr_t* at;
    std::uintptr_t got;
  };
  test::shared_with_child<wild> out;
  void* hole = mmap(nullptr, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(hole, 2 * 4096);
  for (int page = 0; page < 3; page++) {  // not mapped, not mapped, not readable
    *out = {static_cast<std::uintptr_t*>(hole) + page * 512 + 7, 1};
    snapshot_outcome outcome = ask(
        [](void* arg, image&) noexcept {
          auto& w = *static_cast<wild*>(arg);
          w.got = *w.at;
        },
        &*out, out.hidden());
    EXPECT_TRUE(outcome.ok) << outcome.why;
    EXPECT_EQ(out->got, 0u);
    EXPECT_EQ(outcome.blind, 1u);
    EXPECT_NE(test::notes_of(*outcome.notes).find("is not there"), std::string::npos);
  }
  munmap(static_cast<char*>(hole) + 2 * 4096, 4096);
}

// A client that says nonsense of where stacks end.
TEST(snapshot, wild_ends_of_stacks_do_no_harm) {
  ASSERT_TRUE(init_snapshot());
  std::atomic<bool> over{false};
  std::thread busy([&] {
    while (!over) {
    }
  });
  for (std::uintptr_t top : {std::uintptr_t{1}, std::uintptr_t{1} << 46, ~std::uintptr_t{0} - 4096}) {
    snapshot_request request;
    request.who = test::blank_client();
    request.who.self = &top;
    request.who.prepare = [](void* self, image& in) {
      test::give_roles(in, [self](int, std::uintptr_t) {
        return thread_role{thread_role::busy, *static_cast<std::uintptr_t*>(self)};
      });
    };
    request.decide = [](void*, image& in) noexcept {
      marker m(in);
      m.locate();
      m.mark_roots();
    };
    snapshot_outcome outcome = take_snapshot(request);
    EXPECT_TRUE(outcome.ok) << outcome.why;
  }
  over = true;
  busy.join();
}

TEST(snapshot, a_child_that_crashes_does_no_harm) {
  ASSERT_TRUE(init_snapshot());
  static int handled = 0;
  struct sigaction crash_reporter {
  }, before{};
  crash_reporter.sa_handler = [](int) {
    handled++;
    _exit(3);
  };
  sigaction(SIGSEGV, &crash_reporter, &before);
  snapshot_outcome outcome = ask([](void*, image&) noexcept { asm volatile("movl $1, 8" ::: "memory"); }, nullptr, {});
  sigaction(SIGSEGV, &before, nullptr);
  EXPECT_FALSE(outcome.ok);
  EXPECT_NE(std::string(outcome.why).find("signal 11"), std::string::npos) << outcome.why;
  EXPECT_EQ(handled, 0);
}

}  // namespace
}  // namespace stray::trace
