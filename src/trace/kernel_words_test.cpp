// One pointer that only the kernel holds: found by its source of roots and by nothing else, and what was looked at is as it was.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "trace/roots_case.h"

namespace stray::trace {
namespace {

using namespace test;

int count_descriptors() {
  int n = 0;
  DIR* d = opendir("/proc/thread-self/fd");
  while (readdir(d) != nullptr) n++;
  closedir(d);
  return n;
}

struct kernel_case : roots_case {
  int read_end = -1, write_end = -1;
  void TearDown() override {
    close(read_end);
    close(write_end);
    roots_case::TearDown();
  }
  void take(const int (&ends)[2]) {
    read_end = ends[0];
    write_end = ends[1];
  }
  void make_pipe(int flags = 0) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, flags | O_CLOEXEC), 0);
    take(ends);
  }
  void make_sockets(int type) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
    take(ends);
  }
  // The secret as one message, `before` bytes of something else in front.
  [[gnu::noinline]] void send_secret(std::size_t before = 0) const {
    static char room[64];
    memset(room, 'x', sizeof room);
    PLANT(room + before);
    EXPECT_EQ(write(write_end, room, before + 8), static_cast<ssize_t>(before + 8));
    memset(room, 'x', sizeof room);
  }
  void send_rubbish(std::size_t bytes) const {
    std::vector<char> room(bytes, 'r');
    ASSERT_EQ(write(write_end, room.data(), bytes), static_cast<ssize_t>(bytes));
  }
  // The last 8 bytes of what is now read are the secret still.
  void expect_unread(std::size_t bytes) const {
    static char room[1 << 20];  // not of the heap, where a copy would stay behind
    std::size_t got = 0;
    for (ssize_t n; got < bytes && (n = read(read_end, room + got, bytes - got)) > 0;) got += static_cast<std::size_t>(n);
    ASSERT_EQ(got, bytes);
    std::uintptr_t word;
    memcpy(&word, room + bytes - 8, 8);
    EXPECT_EQ(word, ~the_secret->complement);
    memset(room, 0, sizeof room);
  }
  bool noted(const char* what) const {
    for (std::uint32_t i = 0; i < last.notes->used; i++) {
      if (strstr(last.notes->notes[i].line, what) != nullptr) return true;
    }
    return false;
  }
};

// --- pipes ----------------------------------------------------------------------------------------------------------------------------

TEST_F(kernel_case, a_pipe_is_read_and_not_consumed) {
  make_pipe();
  send_secret();
  int before = count_descriptors();
  expect_only_by(root::pipes);
  EXPECT_EQ(last.blind, 0u);
  EXPECT_EQ(count_descriptors(), before);
  expect_unread(8);
  EXPECT_FALSE(found()) << "it has been read";
}
TEST_F(kernel_case, a_word_in_a_pipe_may_begin_at_any_byte) {
  for (std::size_t before = 1; before < 8; before++) {
    make_pipe();
    send_secret(before);
    expect_only_by(root::pipes);
    expect_unread(before + 8);
    close(read_end);
    close(write_end);
  }
  make_pipe();
}
TEST_F(kernel_case, the_end_of_a_full_pipe) {
  make_pipe();
  send_rubbish(65536 - 8);
  send_secret();
  expect_only_by(root::pipes);
  expect_unread(65536);
}
TEST_F(kernel_case, a_pipe_larger_than_usual) {
  make_pipe();
  ASSERT_GE(fcntl(write_end, F_SETPIPE_SZ, 1 << 20), 1 << 20);
  send_rubbish((1 << 20) - 4096);
  send_secret();
  expect_only_by(root::pipes);
  expect_unread((1 << 20) - 4096 + 8);
}
TEST_F(kernel_case, a_pipe_far_out_in_a_sparse_table) {
  make_pipe();
  int far = fcntl(read_end, F_DUPFD_CLOEXEC, 15000);
  if (far < 0) GTEST_SKIP() << "ulimit -n is too low";
  close(read_end);
  read_end = far;
  send_secret();
  expect_only_by(root::pipes);
}
TEST_F(kernel_case, packets_in_a_pipe) {
  make_pipe(O_DIRECT);
  send_rubbish(3);
  send_rubbish(5);
  send_secret(2);
  expect_only_by(root::pipes);
  EXPECT_EQ(last.blind, 0u);
}
TEST_F(kernel_case, a_fifo) {
  std::string path = "/tmp/stray-fifo-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  read_end = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  write_end = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  unlink(path.c_str());
  send_secret();
  expect_only_by(root::pipes);
}
TEST_F(kernel_case, too_many_bytes_in_pipes_are_blind) {
  std::vector<int> more;
  for (int i = 0; i < 5; i++) {
    make_pipe();
    ASSERT_GE(fcntl(write_end, F_SETPIPE_SZ, 1 << 20), 1 << 20);
    send_rubbish(1 << 20);
    more.push_back(read_end);
    more.push_back(write_end);
  }
  make_pipe();
  found();
  EXPECT_EQ(last.blind, 1u);
  EXPECT_TRUE(noted("4 MiB")) << last.notes->notes[0].line;
  for (int fd : more) close(fd);
}

// --- unix sockets ---------------------------------------------------------------------------------------------------------------------

struct socket_case : kernel_case, ::testing::WithParamInterface<int> {
  void SetUp() override {
    kernel_case::SetUp();
    make_sockets(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(kinds, socket_case, ::testing::Values(SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET), [](const auto& i) {
  return i.param == SOCK_STREAM ? "stream" : i.param == SOCK_DGRAM ? "datagram" : "seqpacket";
});

TEST_P(socket_case, is_peeked_and_not_consumed) {
  send_secret(3);
  int before = count_descriptors();
  expect_only_by(root::sockets);
  EXPECT_EQ(last.blind, 0u);
  EXPECT_EQ(count_descriptors(), before);
  expect_unread(11);
  EXPECT_FALSE(found()) << "it has been read";
}
TEST_P(socket_case, the_third_message_counts) {
  send_rubbish(5);
  ASSERT_EQ(send(write_end, "", 0, 0), 0);
  send_rubbish(40);
  send_secret();
  expect_only_by(root::sockets);
  EXPECT_EQ(last.blind, 0u);
  char c[64];
  EXPECT_GE(read(read_end, c, sizeof c), 5) << "the first message is still there";
}
TEST_P(socket_case, no_descriptor_is_received) {
  char byte = 'm';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr m{};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &write_end, sizeof(int));
  ASSERT_EQ(sendmsg(write_end, &m, 0), 1);
  send_secret();
  int before = count_descriptors();
  expect_only_by(root::sockets);
  EXPECT_EQ(last.blind, 0u);
  EXPECT_EQ(count_descriptors(), before);
  ASSERT_EQ(recvmsg(read_end, &m, 0), 1);
  c = CMSG_FIRSTHDR(&m);
  ASSERT_NE(c, nullptr) << "the descriptor is on its way still";
  int passed;
  memcpy(&passed, CMSG_DATA(c), sizeof(int));
  EXPECT_EQ(count_descriptors(), before + 1);
  close(passed);
}
TEST_P(socket_case, the_offset_for_peeking_is_put_back) {
  send_rubbish(20);
  send_secret();
  int offset = 7;
  ASSERT_EQ(setsockopt(read_end, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset), 0);
  expect_only_by(root::sockets);
  offset = 0;
  socklen_t size = sizeof offset;
  ASSERT_EQ(getsockopt(read_end, SOL_SOCKET, SO_PEEK_OFF, &offset, &size), 0);
  EXPECT_EQ(offset, 7);
}
TEST_P(socket_case, what_lies_in_a_socket_shut_down_counts) {
  send_rubbish(5);
  send_secret();
  ASSERT_EQ(shutdown(read_end, SHUT_RD), 0);
  expect_only_by(root::sockets);
  EXPECT_EQ(last.blind, 0u);
}
TEST_F(kernel_case, a_connection_not_yet_accepted_is_blind) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  int length = std::snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "stray-test-%d", getpid());
  auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
  read_end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  write_end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(read_end, reinterpret_cast<sockaddr*>(&at), bytes), 0);
  ASSERT_EQ(listen(read_end, 1), 0);
  EXPECT_FALSE(found());
  EXPECT_EQ(last.blind, 0u);
  ASSERT_EQ(connect(write_end, reinterpret_cast<sockaddr*>(&at), bytes), 0);
  send_secret();
  EXPECT_FALSE(found());
  EXPECT_EQ(last.blind, 1u);
  EXPECT_TRUE(noted("not yet accepted"));
}

// --- epoll, timers, rings -------------------------------------------------------------------------------------------------------------

TEST_F(kernel_case, data_of_an_epoll_entry) {
  make_pipe();
  int poller = epoll_create1(EPOLL_CLOEXEC), other = dup(read_end);
  static epoll_event event;
  event = {EPOLLIN, {}};
  ASSERT_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, other, &event), 0);
  PLANT(&event.data);
  ASSERT_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, read_end, &event), 0);
  event = {};
  expect_only_by(root::epoll);
  EXPECT_EQ(last.blind, 0u);
  ASSERT_EQ(epoll_ctl(poller, EPOLL_CTL_DEL, read_end, nullptr), 0);
  EXPECT_FALSE(found()) << "the entry is gone";
  close(poller);
  close(other);
}
TEST_F(kernel_case, without_a_free_descriptor_what_needs_none_is_read) {
  rlimit before{}, few{};  // all of them take less than the 20 ms, also on a slow machine
  getrlimit(RLIMIT_NOFILE, &before);
  few = {std::min<rlim_t>(before.rlim_cur, 2048), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  make_sockets(SOCK_STREAM);
  int poller = epoll_create1(EPOLL_CLOEXEC), full[2];
  static epoll_event event;
  event = {EPOLLIN, {}};
  PLANT(&event.data);
  ASSERT_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, read_end, &event), 0);
  event = {};
  ASSERT_EQ(pipe2(full, O_CLOEXEC), 0);
  std::vector<int> fill;
  for (int fd; (fd = dup(full[1])) >= 0;) fill.push_back(fd);
  close(fill.back());  // one is left
  fill.pop_back();
  expect_only_by(root::epoll);
  EXPECT_EQ(last.blind, 0u);
  ASSERT_EQ(write(full[1], "x", 1), 1);
  EXPECT_TRUE(found());
  EXPECT_EQ(last.blind, 1u);
  EXPECT_TRUE(noted("no descriptor is free"));
  for (int fd : fill) close(fd);
  for (int fd : {poller, full[0], full[1]}) close(fd);
  setrlimit(RLIMIT_NOFILE, &before);
}
TEST_F(kernel_case, value_of_a_posix_timer) {
  if (access("/proc/self/timers", R_OK) != 0) GTEST_SKIP() << "this kernel does not list timers";
  static sigevent event;
  event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR2;
  PLANT(&event.sigev_value);
  timer_t timer;
  ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  event = {};
  expect_only_by(root::posix_timers);
  timer_delete(timer);
  EXPECT_FALSE(found()) << "the timer is gone";
}
TEST_F(kernel_case, submission_entry_of_an_io_uring) {
  io_uring_params p{};
  int ring = static_cast<int>(syscall(SYS_io_uring_setup, 8, &p));
  if (ring < 0) GTEST_SKIP() << "no io_uring here";
  std::size_t bytes = p.sq_entries * sizeof(io_uring_sqe);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, static_cast<off_t>(IORING_OFF_SQES));
  ASSERT_NE(at, MAP_FAILED);
  PLANT(&static_cast<io_uring_sqe*>(at)[3].user_data);
  expect_only_by(root::shared);
  munmap(at, bytes);
  close(ring);
}

}  // namespace
}  // namespace stray::trace
