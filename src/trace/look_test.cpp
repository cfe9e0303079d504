// Threads that are only looked at: what is known of them, and that they never notice.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

#include "base/syscalls.h"
#include "trace/task_list.h"
#include "trace/test_support.h"

namespace stray::trace {
namespace {

void wait_asleep(int tid) {
  for (task_sleep now; !look_at_sleep(tid, now) || !now.asleep;) std::this_thread::yield();
}

// A thread in poll until it is told to go on; `error` is 0 if the call came back because of that.
struct sleeper {
  int event = eventfd(0, EFD_CLOEXEC);
  std::atomic<int> tid{0}, calls{0};
  std::atomic<std::uintptr_t> frame{0};
  std::atomic<bool> last{false};
  int error = 0;
  std::thread thread{[this] {
    tid.store(base::sys::gettid());
    frame.store(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
    do {
      pollfd one{event, POLLIN, 0};
      if (poll(&one, 1, -1) != 1) error = errno;
      std::uint64_t n = 0;
      if (read(event, &n, sizeof n) != sizeof n) error = errno;
      calls.fetch_add(1);
    } while (!last.load());
  }};

  sleeper() {
    while (tid.load() == 0) std::this_thread::yield();
    wait_asleep(tid.load());
  }
  ~sleeper() {
    last.store(true);
    wake();
    thread.join();
    close(event);
  }
  void wake() {
    std::uint64_t one = 1;
    if (write(event, &one, sizeof one) != sizeof one) std::abort();
  }
};

struct spinner {
  std::atomic<int> tid{0};
  std::atomic<bool> quit{false};
  std::thread thread{[this] {
    tid.store(base::sys::gettid());
    while (!quit.load()) {
    }
  }};
  spinner() {
    while (tid.load() == 0) std::this_thread::yield();
  }
  ~spinner() {
    quit.store(true);
    thread.join();
  }
};

struct seen {
  int tid = 0;  // of the thread asked for
  bool found = false;
  stopped_thread it{};
  unsigned looked = 0;
};

stop_way look_at_everyone(void*, int) noexcept { return stop_way::look; }
stop_way look_if_asleep(void*, int) noexcept { return stop_way::look_if_asleep; }

struct look_case : ::testing::Test {
  test::shared_with_child<seen> out;
  snapshot_request request;

  snapshot_outcome take(int tid, choose_way way) {
    out->tid = tid;
    out->found = false;
    request.who = test::blank_client();
    request.hidden = out.hidden();
    request.arg = &*out;
    request.way = way;
    request.decide = [](void* arg, image& in) noexcept {
      auto& o = *static_cast<seen*>(arg);
      o.looked = in.looked;
      for (const stopped_thread& t : in.threads) {
        if (t.tid == o.tid) o.it = t, o.found = true;
      }
    };
    return take_snapshot(request);
  }
};

TEST_F(look_case, a_thread_that_sleeps_is_known_to_sleep_and_its_frames_are_found_without_a_signal) {
  sleeper s;
  snapshot_outcome o = take(s.tid.load(), look_at_everyone);
  ASSERT_TRUE(o.ok) << o.why;
  EXPECT_EQ(o.signals, 0u);
  EXPECT_EQ(o.threads, 0u);
  EXPECT_EQ(o.looked, 1u);
  EXPECT_EQ(o.ran, 0u);
  EXPECT_EQ(o.unstopped, 0u);
  ASSERT_TRUE(out->found);
  EXPECT_TRUE(out->it.looked && out->it.asleep && out->it.in_syscall && !out->it.stopped);
  EXPECT_EQ(out->it.context, nullptr);
  EXPECT_LT(out->it.sp, s.frame.load());
  EXPECT_GT(out->it.sp, s.frame.load() - 4096);
  EXPECT_EQ(s.calls.load(), 0);
  s.wake();
  while (s.calls.load() == 0) std::this_thread::yield();
  EXPECT_EQ(s.error, 0);
}

TEST_F(look_case, a_thread_that_runs_is_said_to_have_run) {
  spinner s;
  snapshot_outcome o = take(s.tid.load(), look_at_everyone);
  ASSERT_TRUE(o.ok) << o.why;
  EXPECT_EQ(o.signals, 0u);
  EXPECT_EQ(o.ran, 1u);
  EXPECT_TRUE(out->found && out->it.looked && !out->it.asleep);
}

TEST_F(look_case, on_request_there_is_no_snapshot_when_a_thread_runs) {
  spinner s;
  request.only_if_asleep = true;
  snapshot_outcome o = take(s.tid.load(), look_at_everyone);
  EXPECT_FALSE(o.ok);
  EXPECT_EQ(o.ran, 1u);
  EXPECT_FALSE(out->found);
  EXPECT_EQ(std::string(o.why), "a thread that was only looked at has run");
}

TEST_F(look_case, a_thread_that_need_not_be_disturbed_is_stopped_if_it_runs) {
  sleeper asleep;
  snapshot_outcome o = take(asleep.tid.load(), look_if_asleep);
  ASSERT_TRUE(o.ok) << o.why;
  EXPECT_EQ(o.signals, 0u);
  EXPECT_EQ(o.looked, 1u);
  spinner runs;
  do {  // no processor for it in 200 ms: said, and asked again
    o = take(runs.tid.load(), look_if_asleep);
    ASSERT_TRUE(o.ok) << o.why;
    EXPECT_EQ(o.signals, 1u);
  } while (o.unstopped != 0);
  EXPECT_EQ(o.looked, 1u);
  EXPECT_EQ(o.threads, 1u);
  EXPECT_EQ(o.ran, 0u);
  EXPECT_TRUE(out->found && out->it.stopped && !out->it.looked);
}

TEST_F(look_case, a_thread_that_woke_and_sleeps_again_has_run) {
  sleeper s;
  for (int round = 0; round < 100; round++) {
    task_sleep before;
    ASSERT_TRUE(look_at_sleep(s.tid.load(), before));
    ASSERT_TRUE(before.asleep);
    EXPECT_TRUE(slept_on(s.tid.load(), before));
    int calls = s.calls.load();
    s.wake();
    while (s.calls.load() == calls) std::this_thread::yield();
    wait_asleep(s.tid.load());
    EXPECT_FALSE(slept_on(s.tid.load(), before));
  }
  EXPECT_EQ(s.error, 0);
}

TEST_F(look_case, a_thread_that_ended_has_run) {
  task_sleep before;
  int tid = 0;
  {
    sleeper s;
    tid = s.tid.load();
    ASSERT_TRUE(look_at_sleep(tid, before));
  }
  EXPECT_FALSE(slept_on(tid, before));
}

// malloc keeps it for the thread that freed it: its words keep nothing alive.
TEST_F(look_case, what_a_sleeping_thread_has_freed_is_not_in_use) {
  if (!init_snapshot()) GTEST_SKIP() << "no snapshot here";
  std::atomic<std::uintptr_t> complement{0};
  std::atomic<bool> over{false};
  std::atomic<int> tid{0};
  std::thread owner([&] {
    void* (*volatile take_block)(std::size_t) = std::malloc;
    void (*volatile give_block)(void*) = std::free;
    void* blocks[3];
    for (void*& b : blocks) b = take_block(200);
    complement = ~reinterpret_cast<std::uintptr_t>(blocks[1]);
    for (void* b : blocks) give_block(b);
    tid = base::sys::gettid();
    while (!over) usleep(20'000);
  });
  while (tid == 0) std::this_thread::yield();
  usleep(2000);
  struct asked {
    std::uintptr_t complement;
    bool known, in_use;
  };
  test::shared_with_child<asked> answer;
  answer->complement = complement;
  snapshot_request look;
  look.who = test::blank_client();
  look.hidden = answer.hidden();
  look.arg = &*answer;
  look.way = look_at_everyone;
  look.decide = [](void* arg, image& in) noexcept {
    auto& a = *static_cast<asked*>(arg);
    a.known = in.heap_known && in.blocks.is_start(~a.complement);
    a.in_use = in.blocks.in_use(~a.complement);
  };
  snapshot_outcome o = take_snapshot(look);
  over = true;
  owner.join();
  ASSERT_TRUE(o.ok) << o.why;
  if (!answer->known) GTEST_SKIP() << "malloc is not glibc's, or its arena was busy";
  EXPECT_FALSE(answer->in_use);
}

}  // namespace
}  // namespace stray::trace
