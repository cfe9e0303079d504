// Each system call in turn is refused, as a sandbox would, to a process with one goroutine that is leaked and one each that is not, for what
// lies in a place of its own. The detector may see less then, and must say so: no wrong proof, and nothing missing from a complete report.
//
//   interop_refused start|later ERRNO FIRST LAST     refused before the first goroutine, or when all of them wait
// One line for each call with which something is wrong, and one with the counts at the end; status 1 if something was wrong, 77 if this
// machine does not let anything be refused.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

#include "refuse.hpp"

namespace {

struct box {
  stray::chan<int> ch = stray::make_chan<int>();
};

std::atomic<bool> over{false};
std::set<std::uint64_t> healthy;
std::uint64_t leaked = 0;
void* volatile kept[16];  // of places that this process may not have: seen
std::size_t kept_count = 0;
void keep(std::uintptr_t hidden) { kept[kept_count++] = reinterpret_cast<void*>(~hidden); }

// --- the places: each keeps the pointer, complemented on its way -----------------------------------------------------------------------

[[gnu::noinline]] void clear_dead_stack() {
  volatile char room[16384];
  for (char volatile& c : room) c = 0;
}
[[gnu::noinline]] void hold_and(std::uintptr_t hidden, void (*wait)(std::atomic<bool>& ready), std::atomic<bool>& ready) {
  void* volatile pointer = reinterpret_cast<void*>(~hidden);
  wait(ready);
  if (pointer == nullptr) std::abort();
}
void by_thread(std::uintptr_t hidden, void (*wait)(std::atomic<bool>& ready)) {
  std::atomic<bool> ready{false};
  std::thread(hold_and, hidden, wait, std::ref(ready)).detach();
  while (!ready) std::this_thread::yield();
}
void asleep(std::uintptr_t hidden) {
  by_thread(hidden, [](std::atomic<bool>& ready) {
    ready = true;
    over.wait(false);
  });
}
void asleep_and_masked(std::uintptr_t hidden) {
  by_thread(hidden, [](std::atomic<bool>& ready) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ready = true;
    over.wait(false);
  });
}
void at_work(std::uintptr_t hidden) {
  by_thread(hidden, [](std::atomic<bool>& ready) {
    ready = true;
    while (!over) {
    }
  });
}
thread_local void* volatile of_the_thread;
void thread_local_variable(std::uintptr_t hidden) {
  static std::uintptr_t handed;
  handed = hidden;
  by_thread(0, [](std::atomic<bool>& ready) {
    of_the_thread = reinterpret_cast<void*>(~handed);
    ready = true;
    over.wait(false);
  });
}
void in_mapping(std::uintptr_t hidden, int flags, int advice) {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || (advice != 0 && madvise(page, 4096, advice) != 0)) {
    keep(hidden);
    return;
  }
  *static_cast<void* volatile*>(page) = reinterpret_cast<void*>(~hidden);
}
void shared(std::uintptr_t hidden) { in_mapping(hidden, MAP_SHARED, 0); }
void dontfork(std::uintptr_t hidden) { in_mapping(hidden, MAP_PRIVATE, MADV_DONTFORK); }
void wipeonfork(std::uintptr_t hidden) { in_mapping(hidden, MAP_PRIVATE, MADV_WIPEONFORK); }
void read_only(std::uintptr_t hidden) {
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) std::exit(0);
  *static_cast<void* volatile*>(page) = reinterpret_cast<void*>(~hidden);
  mprotect(page, 4096, PROT_NONE);
}
void written(int fd, std::uintptr_t hidden) {
  void* pointer = reinterpret_cast<void*>(~hidden);
  if (fd < 0 || write(fd, &pointer, sizeof pointer) != sizeof pointer) keep(hidden);
}
void in_pipe(std::uintptr_t hidden) {
  int ends[2] = {-1, -1};
  if (pipe(ends) != 0) ends[1] = -1;
  written(ends[1], hidden);
}
void in_socket(std::uintptr_t hidden) {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) ends[1] = -1;
  written(ends[1], hidden);
}
void in_memfd(std::uintptr_t hidden) { written(memfd_create("stray", 0), hidden); }
void in_epoll(std::uintptr_t hidden) {
  int set = epoll_create1(0), ends[2] = {-1, -1};
  epoll_event e{};
  e.data.u64 = ~hidden;
  if (set < 0 || pipe(ends) != 0 || epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &e) != 0) keep(hidden);
}
void in_timer(std::uintptr_t hidden) {
  sigevent e{};
  e.sigev_notify = SIGEV_NONE;
  e.sigev_value.sival_ptr = reinterpret_cast<void*>(~hidden);
  timer_t id;
  if (timer_create(CLOCK_MONOTONIC, &e, &id) != 0) keep(hidden);
}

constexpr void (*places[])(std::uintptr_t) = {
    asleep,   asleep_and_masked, at_work, thread_local_variable, shared, dontfork, wipeonfork, read_only, in_pipe, in_socket,
    in_memfd, in_epoll,          in_timer};

// The waiter owns the box that the place leads to.
[[gnu::noinline]] void start_waiter(void (*place)(std::uintptr_t)) {
  std::atomic<std::uintptr_t> hidden{0};
  std::atomic<std::uint64_t> id{0};
  stray::go([&hidden, &id] {
    auto own = std::make_unique<box>();
    id = stray::goroutine_id();
    hidden = ~reinterpret_cast<std::uintptr_t>(own.get());
    own->ch.recv();
  });
  while (hidden == 0) std::this_thread::yield();
  place(hidden.exchange(0));
  healthy.insert(id);
}
[[gnu::noinline]] void start_leak() {
  std::atomic<std::uint64_t> id{0};
  stray::go([&id, ch = stray::make_chan<int>()] {
    id = stray::goroutine_id();
    ch.recv();
  });
  while (id == 0) std::this_thread::yield();
  leaked = id;
}

// --- one call -----------------------------------------------------------------------------------------------------------------------------

enum outcome : int { right = 0, wrong = 10, missed = 11, less = 12 };

outcome look() {
  bool found = false;
  const stray::leak::report r = stray::leak::find();
  for (const stray::leak::group& g : r.groups()) {
    for (const stray::leak::goroutine& one : g.goroutines) {
      if (healthy.count(one.id) != 0) return wrong;
      found = found || one.id == leaked;
    }
  }
  if (found || r.likely() != 0) return right;
  return r.complete() ? missed : less;
}

[[noreturn]] void live(unsigned number, unsigned error, bool later) {
  if (!later) refuse({number}, error);
  for (auto* place : places) start_waiter(place);
  start_leak();
  stray::testing::until_parked(std::size(places) + 1);
  clear_dead_stack();
  if (later) refuse({number}, error);
  outcome worst = right;
  for (int i = 0; i < 3; i++) worst = std::max(worst, look());
  _exit(worst);
}

std::string run(unsigned number, unsigned error, bool later, std::map<std::string, int>& counts) {
  const pid_t child = fork();
  if (child == 0) live(number, error, later);
  int status = 0;
  for (int ms = 0; waitpid(child, &status, WNOHANG) == 0; ms++) {
    if (ms > 30'000) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return "hangs";
    }
    usleep(1000);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == wrong) return "WRONG";
  if (WIFEXITED(status) && WEXITSTATUS(status) == missed) return "MISSED";
  if (WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == right || WEXITSTATUS(status) == less)) {
    counts[WEXITSTATUS(status) == right ? "found" : WEXITSTATUS(status) == less ? "said" : "skipped"]++;
    return "";
  }
  // What a process cannot do without ends it: with a line, and in order.
  if (WIFEXITED(status)) {
    counts["ended"]++;
    return "";
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
    counts["aborted"]++;
    return "";
  }
  return "died by signal " + std::to_string(WTERMSIG(status));
}

}  // namespace

int main(int, char** argv) {
  const bool later = std::strcmp(argv[1], "later") == 0;
  const unsigned error = static_cast<unsigned>(std::atoi(argv[2])), first = static_cast<unsigned>(std::atoi(argv[3])),
                 last = static_cast<unsigned>(std::atoi(argv[4]));
  bool bad = false;
  std::map<std::string, int> counts;
  for (unsigned number = first; number < last; number++) {
    // Without these no thread can wait, return from a handler or end.
    if (number == SYS_futex || number == SYS_rt_sigreturn || number == SYS_exit_group || number == SYS_exit) continue;
    const std::string what = run(number, error, later, counts);
    if (what.empty()) continue;
    std::cout << "call " << number << ": " << what << std::endl;
    bad = true;
  }
  for (const auto& [what, n] : counts) std::cout << what << ' ' << n << ' ';
  std::cout << std::endl;
  return bad ? 1 : counts["found"] == 0 ? 77 : 0;  // none was found: seccomp is not allowed, and nothing was tried
}
