// A snapshot that goes wrong: the program goes on as if nothing had been, the answer says why, and the next snapshot is right again.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "base/clock.h"
#include "base/test_groups.h"
#include "trace/open_files.h"
#include "trace/test_support.h"

namespace stray::trace {
namespace {

std::vector<std::string> descriptors() {
  std::vector<std::string> all;
  for (const auto& e : std::filesystem::directory_iterator("/proc/thread-self/fd")) {
    std::error_code gone;  // the listing's own
    std::string target = std::filesystem::read_symlink(e.path(), gone).string();
    if (!gone && target.find("/fd") == std::string::npos) all.push_back(e.path().filename().string() + " " + target);
  }
  return all;
}

struct fault_case : ::testing::Test {
  struct answer {
    std::atomic<int> pid;
    std::uint64_t blocks;
    bool heap_known;
  };
  test::shared_with_child<answer> out;
  snapshot_request request;
  std::vector<std::string> before;

  void SetUp() override {
    ASSERT_TRUE(init_snapshot());
    request.who = test::blank_client();
    request.hidden = out.hidden();
    request.arg = &*out;
    before = descriptors();
  }
  // The next one is right again, and nothing is left over.
  void TearDown() override {
    snapshot_outcome o = take(decide);
    EXPECT_TRUE(o.ok) << o.why;
    EXPECT_TRUE(out->heap_known);
    EXPECT_GT(out->blocks, 0u);
    EXPECT_EQ(descriptors(), before);
    EXPECT_EQ(std::ifstream("/proc/self/task/" + std::to_string(getpid()) + "/children").peek(), EOF);
  }
  snapshot_outcome take(void (*f)(void*, image&) noexcept) {
    request.decide = f;
    *(&out->blocks) = 0;
    return take_snapshot(request);
  }
  static void decide(void* arg, image& in) noexcept {
    auto& a = *static_cast<answer*>(arg);
    a.blocks = in.blocks.blocks();
    a.heap_known = in.heap_known;
  }
};

// First in its process: what the tracer could not find out at the start it finds out later.
TEST(first_snapshot, waits_for_a_descriptor) {
  if (stop_signal() != 0) GTEST_SKIP() << "another test of this process was first";
  rlimit usual{}, none{0, 0};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  none.rlim_max = usual.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  snapshot_request request;
  request.who = test::blank_client();
  snapshot_outcome o = take_snapshot(request);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_FALSE(o.ok);
  EXPECT_STREQ(o.why, "no file descriptor is free: the heap cannot be looked at");
  test::shared_with_child<bool> known;
  request.hidden = known.hidden();
  request.arg = &*known;
  request.decide = [](void* arg, image& in) noexcept { *static_cast<bool*>(arg) = in.heap_known; };
  o = take_snapshot(request);
  EXPECT_TRUE(o.ok) << o.why;
  EXPECT_TRUE(*known);
}

TEST_F(fault_case, the_child_is_killed_at_any_moment) {
  std::atomic<bool> quit{false};
  std::atomic<int> killed{0};
  const std::string children = "/proc/self/task/" + std::to_string(base::sys::gettid()) + "/children";
  std::thread killer([&] {
    std::uint64_t x = 88172645463325252u;
    while (!quit.load()) {
      int child = 0;
      if (!(std::ifstream(children) >> child) || child == 0) continue;
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      std::int64_t end = base::now_ns() + static_cast<std::int64_t>(x % 3'000'000);
      while (base::now_ns() < end) {
      }
      if (kill(child, SIGKILL) == 0) killed.fetch_add(1);
    }
  });
  int ended = 0, answered = 0;
  for (int i = 0; i < 100; i++) {
    snapshot_outcome o = take(decide);
    if (o.ok) {
      answered++;
      EXPECT_GT(out->blocks, 0u);
    } else {
      ended++;
      EXPECT_STREQ(o.why, "the snapshot's process ended early (signal 9)");
    }
  }
  quit.store(true);
  killer.join();
  std::printf("  %d ended early, %d answered\n", ended, answered);
  EXPECT_GT(ended, 0);
}

// Descriptors are shared with the child: what it had open when it was killed stays open unless somebody closes it.
TEST_F(fault_case, what_a_killed_child_had_open_is_closed) {
  snapshot_outcome o = take([](void*, image&) noexcept {
    base::sys::open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
    base::sys::open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
    base::sys::call(SYS_kill, base::sys::getpid(), SIGKILL);
  });
  EXPECT_FALSE(o.ok);
  EXPECT_EQ(descriptors(), before);
}

// It has the last one: nothing can be listed.
TEST_F(fault_case, the_last_descriptor_is_closed_too) {
  int next = dup(0);
  close(next);
  rlimit usual{}, one{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  one = {static_cast<rlim_t>(next) + 1, usual.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &one), 0);
  snapshot_outcome o = take([](void* arg, image&) noexcept {
    static_cast<answer*>(arg)->pid.store(base::sys::open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC));
    base::sys::call(SYS_kill, base::sys::getpid(), SIGKILL);
  });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_FALSE(o.ok);
  EXPECT_EQ(out->pid.load(), next) << o.why;
  EXPECT_EQ(descriptors(), before);
}

TEST_F(fault_case, a_child_whose_time_is_over_leaves_nothing_open) {
  request.time_limit_ns = 50'000'000;
  snapshot_outcome o = take([](void*, image&) noexcept {
    base::sys::open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
    for (;;) base::sys::call(SYS_sched_yield);
  });
  EXPECT_FALSE(o.ok);
  EXPECT_STREQ(o.why, "the snapshot took longer than its time limit of 50 ms and was ended");
  EXPECT_EQ(descriptors(), before);
  request.time_limit_ns = 60'000'000'000;
}

TEST_F(fault_case, the_child_uses_up_its_memory) {
  snapshot_outcome o = take([](void*, image& in) noexcept {
    while (in.memory->take(std::size_t{1} << 36, 64) != nullptr) {
    }
  });
  EXPECT_FALSE(o.ok);
  EXPECT_STREQ(o.why, "the snapshot's process ran out of memory (ulimit -v, overcommit)");
}

TEST_F(fault_case, address_space_is_limited) {
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &usual), 0);
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit low{pages * 4096, usual.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &low), 0);
  snapshot_outcome o = take(decide);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &usual), 0);
  EXPECT_FALSE(o.ok);
  EXPECT_STREQ(o.why, "the snapshot's process ran out of memory (ulimit -v, overcommit)");
}

TEST_F(fault_case, the_control_group_has_no_room) {
  base::test_groups groups;
  const std::string list = groups.list(), mount = groups.mount();
  groups.write("list", "0::/\n");
  groups.write("memory.max", std::to_string(1 << 30));
  groups.write("memory.current", std::to_string((1 << 30) - 500'000));
  request.group_list = list.c_str();
  request.group_mount = mount.c_str();
  snapshot_outcome o = take(decide);
  EXPECT_FALSE(o.ok);
  EXPECT_EQ(o.stops, 0u);
  EXPECT_NE(std::string(o.why).find("the control group's memory limit leaves 0 MiB, and a snapshot may take "),
            std::string::npos)
      << o.why;
  groups.write("memory.current", "1000");
  EXPECT_TRUE(take(decide).ok);
  request.group_list = base::control_group_list;
  request.group_mount = base::control_group_mount;
}

TEST_F(fault_case, the_control_group_fills_up_while_the_child_lives) {
  base::test_groups groups;
  const std::string list = groups.list(), mount = groups.mount();
  groups.write("list", "0::/\n");
  groups.write("memory.max", std::to_string(1 << 30));
  groups.write("memory.current", "1000");
  request.group_list = list.c_str();
  request.group_mount = mount.c_str();
  std::thread filler([&] {  // once the child has begun
    while (out->pid.load() == 0) std::this_thread::yield();
    groups.write("memory.current", std::to_string((1 << 30) - 500'000));
  });
  snapshot_outcome o = take([](void* arg, image&) noexcept {
    static_cast<answer*>(arg)->pid.store(1);
    for (;;) base::sys::call(SYS_sched_yield);
  });
  filler.join();
  EXPECT_FALSE(o.ok);
  EXPECT_STREQ(o.why, "the control group came too near to its memory limit: the snapshot was ended");
  request.group_list = base::control_group_list;
  request.group_mount = base::control_group_mount;
}

TEST_F(fault_case, memory_is_locked) {
  rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0 || mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
    GTEST_SKIP() << "mlockall is not allowed here: " << std::strerror(errno);
  }
  snapshot_outcome o = take(decide);
  munlockall();
  EXPECT_TRUE(o.ok) << o.why;
  EXPECT_GT(out->blocks, 0u);
}

TEST_F(fault_case, a_userfaultfd_would_hold_up_the_clone) {
  int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
  if (fd < 0) GTEST_SKIP() << "userfaultfd is not allowed here: " << std::strerror(errno);
  uffdio_api api{UFFD_API, UFFD_FEATURE_EVENT_FORK, 0};
  EXPECT_EQ(ioctl(fd, UFFDIO_API, &api), 0);
  snapshot_outcome o = take(decide);
  close(fd);
  EXPECT_FALSE(o.ok);
  EXPECT_STREQ(o.why, "a userfaultfd is open: a clone might wait for it for ever");
}

TEST_F(fault_case, direct_io_is_seen) {
  char path[] = "fault_direct_XXXXXX";
  int plain = mkostemp(path, O_CLOEXEC);
  ASSERT_GE(plain, 0);
  EXPECT_FALSE(look_at_open_files().direct_io);
  int direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_DIRECT | O_CLOEXEC), 0);  // packets: nothing of that kind
  if (direct >= 0) {
    EXPECT_TRUE(look_at_open_files().direct_io);
    close(direct);
  }
  EXPECT_FALSE(look_at_open_files().direct_io);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  close(plain);
  unlink(path);
}

TEST(direct_io, is_safe_from_6_5_on) {
  EXPECT_FALSE(fork_spares_direct_io("5.15.0-91-generic"));
  EXPECT_FALSE(fork_spares_direct_io("6.4.16"));
  EXPECT_TRUE(fork_spares_direct_io("6.5"));
  EXPECT_TRUE(fork_spares_direct_io("6.18.2"));
  EXPECT_TRUE(fork_spares_direct_io("10.0.1"));
  EXPECT_FALSE(fork_spares_direct_io("unknown"));
}

TEST_F(fault_case, device_mappings_are_no_obstacle) {
  int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), full = open("/dev/full", O_RDWR | O_CLOEXEC);
  ASSERT_GE(zero, 0);
  void* maps[] = {mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0),
                  mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0)};
  for (void* at : maps) {
    ASSERT_NE(at, MAP_FAILED);
    std::memset(at, 1, 4096);
  }
  snapshot_outcome o = take(decide);
  EXPECT_TRUE(o.ok) << o.why;
  EXPECT_EQ(o.blind, 0u);
  for (void* at : maps) munmap(at, 8192);
  close(zero);
  close(full);
}

}  // namespace
}  // namespace stray::trace
