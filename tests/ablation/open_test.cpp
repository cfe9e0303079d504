// Places that the detector does not see (docs/guarantees.md, open). A block that something else owned comes out as likely: it is an orphan,
// and the report names it. A block that the waiter itself owns comes out as proven, which is wrong: such a program must use add_root.
// A test here fails when its place has become visible: then it belongs into kernel_test.cpp.
#include <arpa/inet.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "scene.hpp"

namespace {

using namespace ablation;

void expect_not_seen(const std::function<void(holder*)>& put, const std::function<holder*()>& take) {
  set_scene(put);
  clear_dead_stack();
  stray::testing::until_parked(1);
  EXPECT_EQ(verdict(), tier::likely);
  holder* h = take();
  h->ch.close();
  delete h;
  until_all_ended();

  expect_proven_of_own_block(put, take);
}

holder* read_holder(int fd) {
  holder* h = nullptr;
  EXPECT_EQ(read(fd, &h, sizeof h), static_cast<ssize_t>(sizeof h));
  return h;
}
void write_holder(int fd, holder* h) { EXPECT_EQ(write(fd, &h, sizeof h), static_cast<ssize_t>(sizeof h)); }

TEST(open_places, pointer_xored) { expect_not_seen(hand, unmask); }

TEST(open_places, pointer_as_text) {
  static char text[32];
  expect_not_seen([](holder* h) { std::snprintf(text, sizeof text, "%p", static_cast<void*>(h)); },
                  [] { return reinterpret_cast<holder*>(std::strtoull(text, nullptr, 16)); });
}

TEST(open_places, file_with_a_name) {
  char path[] = "/tmp/stray-test-XXXXXX";
  int fd = mkstemp(path);
  expect_not_seen([&](holder* h) { EXPECT_EQ(pwrite(fd, &h, sizeof h, 0), static_cast<ssize_t>(sizeof h)); },
                  [&] {
                    holder* h = nullptr;
                    EXPECT_EQ(pread(fd, &h, sizeof h, 0), static_cast<ssize_t>(sizeof h));
                    return h;
                  });
  unlink(path);
  close(fd);
}

TEST(open_places, tcp_socket) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&at), size), 0);
  int server = accept(listener, nullptr, nullptr);
  expect_not_seen([&](holder* h) { write_holder(client, h); }, [&] { return read_holder(server); });
  for (int fd : {listener, client, server}) close(fd);
}

TEST(open_places, system_v_message_queue) {
  int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  if (queue < 0) GTEST_SKIP() << "no message queues here";
  struct message {
    long type;
    holder* from;
  };
  expect_not_seen(
      [&](holder* h) {
        message m{1, h};
        EXPECT_EQ(msgsnd(queue, &m, sizeof m.from, 0), 0);
      },
      [&] {
        message m{};
        EXPECT_EQ(msgrcv(queue, &m, sizeof m.from, 0, 0), static_cast<ssize_t>(sizeof m.from));
        return m.from;
      });
  msgctl(queue, IPC_RMID, nullptr);
}

TEST(open_places, queued_signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  expect_not_seen(
      [&](holder* h) {
        sigval value{};
        value.sival_ptr = h;
        EXPECT_EQ(sigqueue(getpid(), SIGUSR2, value), 0);
      },
      [&] {
        siginfo_t info{};
        while (sigwaitinfo(&set, &info) != SIGUSR2) {
        }
        return static_cast<holder*>(info.si_value.sival_ptr);
      });
}

// The read end of a pipe lies in a message of a socket, and in no table.
TEST(open_places, pipe_on_its_way_in_a_message) {
  int sockets[2], write_end = -1;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  char byte = 'm';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  auto message = [&] {
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    return m;
  };
  expect_not_seen(
      [&](holder* h) {
        int ends[2];
        EXPECT_EQ(pipe(ends), 0);
        write_end = ends[1];
        write_holder(write_end, h);
        msghdr m = message();
        *CMSG_FIRSTHDR(&m) = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        *reinterpret_cast<int*>(CMSG_DATA(CMSG_FIRSTHDR(&m))) = ends[0];
        EXPECT_EQ(sendmsg(sockets[0], &m, 0), 1);
        close(ends[0]);
      },
      [&] {
        msghdr m = message();
        EXPECT_EQ(recvmsg(sockets[1], &m, 0), 1);
        int read_end = *reinterpret_cast<int*>(CMSG_DATA(CMSG_FIRSTHDR(&m)));
        holder* h = read_holder(read_end);
        close(read_end);
        close(write_end);
        return h;
      });
  for (int fd : sockets) close(fd);
}

// A thread with a table of descriptors of its own.
TEST(open_places, pipe_in_a_threads_own_table) {
  std::thread owner;
  std::atomic<int> phase{0};
  expect_not_seen(
      [&](holder* h) {
        hand(h);
        phase = 0;
        owner = std::thread([&] {
          int ends[2];
          EXPECT_EQ(unshare(CLONE_FILES), 0);
          EXPECT_EQ(pipe(ends), 0);
          write_holder(ends[1], unmask());
          clear_dead_stack();
          phase = 1;
          phase.wait(1);  // asleep: of a thread that runs nothing is known, and then nobody is likely
          hand(read_holder(ends[0]));
          close(ends[0]);
          close(ends[1]);
        });
        while (phase.load() != 1) std::this_thread::yield();
      },
      [&] {
        phase = 2;
        phase.notify_one();
        owner.join();
        return unmask();
      });
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, nullptr);  // before any thread starts: the test of queued signals waits for it
  return RUN_ALL_TESTS();
}
