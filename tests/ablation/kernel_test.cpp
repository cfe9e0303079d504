// Pointers that only the kernel holds: a goroutine that such a pointer can still wake is silent, and reported when the source is off.
// Where the block is reached from the waiter itself, the rule of orphans cannot help: without the source the verdict would be proven.
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "leak/detect/detector.h"
#include "scene.hpp"

namespace {

using namespace ablation;

struct two_ends {
  int fd[2] = {-1, -1};
  ~two_ends() {
    close(fd[0]);
    close(fd[1]);
  }
};

// As a program would do it: the address of a message goes in at one end and comes out at the other.
void in_flight(root source, const two_ends& ends) {
  auto put = [&](holder* h) { EXPECT_EQ(write(ends.fd[1], &h, sizeof h), static_cast<ssize_t>(sizeof h)); };
  auto take = [&] {
    holder* h = nullptr;
    EXPECT_EQ(read(ends.fd[0], &h, sizeof h), static_cast<ssize_t>(sizeof h));
    return h;
  };
  expect_root(source, put, take);
  expect_root_of_own_block(source, put, take);
}

TEST(ablation_kernel, pipe) {
  two_ends p;
  ASSERT_EQ(pipe(p.fd), 0);
  in_flight(root::pipes, p);
}
TEST(ablation_kernel, unix_stream) {
  two_ends p;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd), 0);
  in_flight(root::sockets, p);
}
TEST(ablation_kernel, unix_datagram) {
  two_ends p;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, p.fd), 0);
  in_flight(root::sockets, p);
}
TEST(ablation_kernel, unix_seqpacket) {
  two_ends p;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p.fd), 0);
  in_flight(root::sockets, p);
}

TEST(ablation_kernel, epoll_data) {
  two_ends p;
  ASSERT_EQ(pipe(p.fd), 0);
  ASSERT_EQ(write(p.fd[1], "x", 1), 1);
  int poller = epoll_create1(0);
  auto put = [&](holder* h) {
    epoll_event e{EPOLLIN, {.ptr = h}};
    EXPECT_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, p.fd[0], &e), 0);
  };
  auto take = [&] {
    epoll_event e{};
    EXPECT_EQ(epoll_wait(poller, &e, 1, -1), 1);
    EXPECT_EQ(epoll_ctl(poller, EPOLL_CTL_DEL, p.fd[0], nullptr), 0);
    return static_cast<holder*>(e.data.ptr);
  };
  expect_root(root::epoll, put, take);
  expect_root_of_own_block(root::epoll, put, take);
  close(poller);
}

TEST(ablation_kernel, posix_timer) {
  if (access("/proc/self/timers", R_OK) != 0) GTEST_SKIP() << "this kernel does not list timers";
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  timer_t timer;
  auto put = [&](holder* h) {
    sigevent e{};
    e.sigev_notify = SIGEV_SIGNAL;
    e.sigev_signo = SIGUSR2;
    e.sigev_value.sival_ptr = h;
    EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &e, &timer), 0);
  };
  auto take = [&] {
    itimerspec soon{{}, {0, 1}};
    EXPECT_EQ(timer_settime(timer, 0, &soon, nullptr), 0);
    siginfo_t info{};
    while (sigwaitinfo(&set, &info) != SIGUSR2) {
    }
    timer_delete(timer);
    return static_cast<holder*>(info.si_value.sival_ptr);
  };
  expect_root(root::posix_timers, put, take);
  expect_root_of_own_block(root::posix_timers, put, take);
}

TEST(ablation_kernel, io_uring_submission) {
  io_uring_params p{};
  int ring = static_cast<int>(syscall(SYS_io_uring_setup, 8, &p));
  if (ring < 0) GTEST_SKIP() << "no io_uring here";
  std::size_t bytes = p.sq_entries * sizeof(io_uring_sqe);
  auto* at = static_cast<io_uring_sqe*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, static_cast<off_t>(IORING_OFF_SQES)));
  ASSERT_NE(at, MAP_FAILED);
  auto put = [&](holder* h) { at[3].user_data = reinterpret_cast<std::uintptr_t>(h); };
  auto take = [&] { return reinterpret_cast<holder*>(std::exchange(at[3].user_data, 0)); };
  expect_root(root::shared, put, take);
  expect_root_of_own_block(root::shared, put, take);
  munmap(at, bytes);
  close(ring);
}

// What cannot be read is said, and nothing is proven.
TEST(ablation_kernel, too_many_bytes_prove_nothing) {
  two_ends p[5];
  for (two_ends& x : p) {
    ASSERT_EQ(pipe(x.fd), 0);
    if (fcntl(x.fd[1], F_SETPIPE_SZ, 1 << 20) < 1 << 20) GTEST_SKIP() << "pipes may not be so large here";
    std::vector<char> rubbish(1 << 20, 'r');
    ASSERT_EQ(write(x.fd[1], rubbish.data(), rubbish.size()), 1 << 20);
  }
  stray::go([] {
    auto own = std::make_unique<holder>(holder{stray::make_chan<int>()});
    hand(own.get());
    own->ch.recv();
  });
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(bit(root::pipes)), tier::proven) << "no hole: nobody else can know the address";
  auto found = stray::leak::detect();
  EXPECT_FALSE(found->complete);
  for (const stray::leak::finding& f : found->list) EXPECT_EQ(f.tier, tier::likely);
  bool said = false;
  for (const std::string& n : found->notes) said = said || n.find("was not read") != std::string::npos;
  EXPECT_TRUE(said);
  unmask()->ch.close();
  until_all_ended();
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, nullptr);  // before any thread starts: the timer's test waits for it
  return RUN_ALL_TESTS();
}
