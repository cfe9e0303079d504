// Threads of the program's own in every blocking call that can be had, one each, while stray looks for leaks.
//
//   interop_blocking_calls quiet    a healthy goroutine is the candidate: nobody has to be disturbed
//   interop_blocking_calls leaked   a leaked one: all threads are stopped by ptrace, and some calls come back
//   interop_blocking_calls leaked_without_ptrace   ptrace is refused: by a signal, and more come back
// Prints `ptrace yes` or `no`, `blocked N`, what leak::find() says, and `back: CALL: RESULT` for each call that came back to its caller.
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <iostream>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <list>
#include <mqueue.h>
#include <mutex>
#include <poll.h>
#include <semaphore.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

#include "refuse.hpp"

namespace {

struct call {
  std::string name;
  std::function<long()> body;  // -1: errno says why
  std::atomic<int> tid{0};
  std::atomic<bool> back{false};
  long result = 0;
  int error = 0;
};
std::list<call> calls;
char big[1 << 20];
std::function<void()> clean_up = [] {};  // what outlives the process otherwise

void add(std::string name, std::function<long()> body) { calls.emplace_back(std::move(name), std::move(body)); }

int must(long fd) {
  if (fd < 0) throw std::system_error(errno, std::generic_category());
  return static_cast<int>(fd);
}
struct ends {
  int fd[2];
  static ends pipe() {
    ends e{};
    must(::pipe(e.fd));
    return e;
  }
  static ends sockets() {
    ends e{};
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, e.fd));
    return e;
  }
};
constexpr timeval minute{60, 0};
void limit(int socket, int option) { must(setsockopt(socket, SOL_SOCKET, option, &minute, sizeof minute)); }
int listener(sockaddr_un& at, int number) {
  int s = must(socket(AF_UNIX, SOCK_STREAM, 0));
  at = {};
  at.sun_family = AF_UNIX;
  std::string name = "stray-" + std::to_string(getpid()) + "-" + std::to_string(number);
  name.copy(at.sun_path + 1, sizeof at.sun_path - 2);
  must(bind(s, reinterpret_cast<sockaddr*>(&at), sizeof at));
  must(listen(s, 0));
  return s;
}
long in_a_minute(clockid_t clock, timespec& t) {
  clock_gettime(clock, &t);
  t.tv_sec += 60;
  return 0;
}

void streams(bool backlog) {
  ends p = ends::pipe(), q = ends::pipe(), s = ends::sockets(), t = ends::sockets(), u = ends::sockets(), v = ends::sockets(),
       w = ends::sockets();
  add("read, pipe", [p] { return read(p.fd[0], big, 1); });
  add("write, pipe, half written", [q] { return write(q.fd[1], big, sizeof big); });
  add("recv", [s] { return recv(s.fd[0], big, 1, 0); });
  must(write(t.fd[1], big, 10));
  add("recv MSG_WAITALL, half there", [t] { return recv(t.fd[0], big, 20, MSG_WAITALL); });
  limit(u.fd[0], SO_RCVTIMEO);
  add("recv with SO_RCVTIMEO", [u] { return recv(u.fd[0], big, 1, 0); });
  add("send, half sent", [v] { return send(v.fd[0], big, sizeof big, 0); });
  limit(w.fd[0], SO_SNDTIMEO);
  add("send with SO_SNDTIMEO, half sent", [w] { return send(w.fd[0], big, sizeof big, 0); });
  static sockaddr_un at[3];
  int a = listener(at[0], 0), b = listener(at[1], 1);
  listener(at[2], 2);
  add("accept", [a] { return accept(a, nullptr, nullptr); });
  limit(b, SO_RCVTIMEO);
  add("accept with SO_RCVTIMEO", [b] { return accept(b, nullptr, nullptr); });
  auto to_full = [] {
    return connect(must(socket(AF_UNIX, SOCK_STREAM, 0)), reinterpret_cast<sockaddr*>(&at[2]), sizeof at[2]);
  };
  if (!backlog) return;  // what a connection that was not accepted holds is not seen: with one nothing is proven
  must(to_full());
  add("connect, backlog full", to_full);
}

void sets_of_descriptors() {
  ends p = ends::pipe();
  int e = must(epoll_create1(0));
  add("poll", [] { return poll(nullptr, 0, 60'000); });
  add("poll without time limit", [p] {
    pollfd one{p.fd[0], POLLIN, 0};
    return poll(&one, 1, -1);
  });
  add("select", [] {
    timeval t = minute;
    return select(0, nullptr, nullptr, nullptr, &t);
  });
  static epoll_event event[2];
  add("epoll_wait", [e] { return epoll_wait(e, &event[0], 1, 60'000); });
  add("epoll_wait without time limit", [e] { return epoll_wait(e, &event[1], 1, -1); });
}

void sleeps() {
  static const timespec t{60, 0};
  add("nanosleep", [] { return nanosleep(&t, nullptr); });
  add("clock_nanosleep, absolute", [] {
    timespec end;
    in_a_minute(CLOCK_MONOTONIC, end);
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nullptr);
    return errno == 0 ? 0 : -1;
  });
  add("usleep", [] { return usleep(60'000'000); });
  add("sleep", [] { return static_cast<long>(sleep(60)); });
  add("std::this_thread::sleep_for", [] {
    std::this_thread::sleep_for(std::chrono::minutes(1));
    return 0;
  });
}

void signals() {
  static sigset_t usr2, none;
  sigemptyset(&none);
  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &usr2, nullptr);
  add("pause", [] { return pause(); });
  add("sigsuspend", [] { return sigsuspend(&none); });
  add("sigwait", [] {
    int got = 0;
    return static_cast<long>(sigwait(&usr2, &got));
  });
  add("sigwaitinfo", [] { return sigwaitinfo(&usr2, nullptr); });
  int fd = must(signalfd(-1, &usr2, 0));
  add("read, signalfd", [fd] { return read(fd, big, sizeof(signalfd_siginfo)); });
}

void locks() {
  static sem_t sem[2];
  sem_init(&sem[0], 0, 0);
  sem_init(&sem[1], 0, 0);
  add("sem_wait", [] { return sem_wait(&sem[0]); });
  add("sem_timedwait", [] {
    timespec end;
    in_a_minute(CLOCK_REALTIME, end);
    return sem_timedwait(&sem[1], &end);
  });
  static std::mutex taken, plain;
  static std::condition_variable never;
  taken.lock();
  add("std::mutex::lock", [] {
    taken.lock();
    return 0;
  });
  add("std::condition_variable::wait", [] {
    std::unique_lock hold(plain);
    never.wait(hold, [] { return false; });
    return 0;
  });
  add("std::condition_variable::wait_for", [] {
    std::unique_lock hold(plain);
    return static_cast<long>(never.wait_for(hold, std::chrono::minutes(1), [] { return false; }));
  });
  static int word = 0;
  add("futex", [] { return syscall(SYS_futex, &word, 128, 0, nullptr, nullptr, 0); });
  add("futex with time limit", [] { return syscall(SYS_futex, &word, 128, 0, &minute, nullptr, 0); });
}

void others() {
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  add("waitpid", [child] { return waitpid(child, nullptr, 0); });
  char path[] = "/tmp/stray-lock-XXXXXX";
  int a = must(mkstemp(path)), b = must(open(path, O_RDWR));
  unlink(path);
  must(flock(a, LOCK_EX));
  add("flock", [b] { return flock(b, LOCK_EX); });
  char fifo[] = "/tmp/stray-fifo-XXXXXX";
  close(must(mkstemp(fifo)));
  unlink(fifo);
  must(mkfifo(fifo, 0600));
  add("open, FIFO", [path = std::string(fifo)] { return open(path.c_str(), O_RDONLY); });
  int queue = msgget(IPC_PRIVATE, 0600), sems = semget(IPC_PRIVATE, 1, 0600);
  clean_up = [queue, sems, path = std::string(fifo)] {
    unlink(path.c_str());
    msgctl(queue, IPC_RMID, nullptr);
    semctl(sems, 0, IPC_RMID);
  };
  if (queue >= 0) {
    add("msgrcv", [queue] { return msgrcv(queue, big, 8, 0, 0); });
  }
  if (sems >= 0) {
    add("semop", [sems] {
      sembuf down{0, -1, 0};
      return semop(sems, &down, 1);
    });
  }
  std::string name = "/stray-" + std::to_string(getpid());
  if (mqd_t q = mq_open(name.c_str(), O_CREAT | O_RDWR, 0600, nullptr); q >= 0) {
    mq_unlink(name.c_str());
    add("mq_receive", [q] { return mq_receive(q, big, sizeof big, nullptr); });
  }
  static aio_context_t aio = 0;
  if (syscall(SYS_io_setup, 8, &aio) == 0) {
    add("io_getevents", [] {
      io_event e;
      return syscall(SYS_io_getevents, aio, 1, 1, &e, nullptr);
    });
  }
  io_uring_params ring{};
  if (long r = syscall(SYS_io_uring_setup, 8, &ring); r >= 0) {
    add("io_uring_enter", [r] { return syscall(SYS_io_uring_enter, r, 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0); });
  }
  int event = must(eventfd(0, 0)), watch = must(inotify_init()), timer = must(timerfd_create(CLOCK_MONOTONIC, 0));
  itimerspec hour{{0, 0}, {3600, 0}};
  must(timerfd_settime(timer, 0, &hour, nullptr));
  add("read, eventfd", [event] { return read(event, big, 8); });
  add("read, inotify", [watch] { return read(watch, big, 100); });
  add("read, timerfd", [timer] { return read(timer, big, 8); });
}

void run(call& c) {
  c.tid.store(gettid());
  c.result = c.body();
  c.error = errno;
  c.back.store(true);
  for (;;) pause();
}

// Until the kernel has seen it off the processor: its file then no longer says "running".
void wait_asleep(const call& c) {
  while (c.tid.load() == 0) std::this_thread::yield();
  for (std::string word; word.empty() || word == "running"; std::this_thread::yield()) {
    std::ifstream("/proc/self/task/" + std::to_string(c.tid.load()) + "/syscall") >> word;
  }
}

std::size_t start_all() {
  for (call& c : calls) std::thread(run, std::ref(c)).detach();
  std::size_t blocked = 0;
  for (call& c : calls) {
    wait_asleep(c);
    blocked += !c.back.load();
  }
  return blocked;
}

stray::chan<int> open_channel;
// What it holds wakes nobody: with an AIO context and a used io_uring in the process more would be likely only.
[[gnu::noinline]] void start_goroutine(stray::chan<int> ch) {
  stray::go([rx = stray::recv_chan<int>(ch)] { rx.recv(); });
}

void print_report() {
  stray::leak::report r = stray::leak::find();
  std::cout << "found " << r.total() << (r.complete() ? " complete" : " incomplete") << '\n';
  for (const std::string& note : r.notes()) std::cout << "note: " << note << '\n';
  for (const std::string& note : r.notes()) std::cout << "note: " << note << '\n';
}

// By a child of its own: with kernel.yama.ptrace_scope, or in a sandbox, not.
bool may_be_traced() {
  const pid_t parent = getpid(), child = fork();
  if (child == 0) _exit(ptrace(PTRACE_SEIZE, parent, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A signal reaches its thread at once, but the call's return takes as long as the thread waits for a processor.
void wait_for_all_to_sleep() {
  for (call& c : calls) wait_asleep(c);
}

}  // namespace

int main(int, char** argv) {
  bool leaked = std::string_view(argv[1]) != "quiet";
  if (std::string_view(argv[1]) == "leaked_without_ptrace") refuse({SYS_ptrace}, EPERM);
  streams(!leaked);
  sets_of_descriptors();
  sleeps();
  signals();
  locks();
  others();
  std::cout << "ptrace " << (may_be_traced() ? "yes" : "no") << '\n';
  std::cout << "blocked " << start_all() << " of " << calls.size() << std::endl;
  if (leaked) {
    start_goroutine(stray::make_chan<int>());
  } else {
    open_channel = stray::make_chan<int>();
    start_goroutine(open_channel);
  }
  stray::testing::until_parked(1);
  for (int i = 0; i < (leaked ? 1 : 20); i++) print_report();
  wait_for_all_to_sleep();
  for (call& c : calls) {
    if (!c.back.load()) continue;
    std::cout << "back: " << c.name << ": " << (c.result == -1 ? std::strerror(c.error) : std::to_string(c.result)) << '\n';
  }
  std::cout << "end" << std::endl;
  clean_up();
  std::_Exit(0);
}
