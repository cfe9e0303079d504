// One leaked goroutine, and one that a thread can still wake; then something takes away what the detector needs. With `_by_ptrace` behind
// its name the thread is left to the second means, which do.
//
//   interop_incomplete DAMAGE     skips with status 77 when this machine does not allow it
// Prints what leak::find() says before and after, serves, and at the end of stdin wakes what can be woken and returns 0.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <latch>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

#include "refuse.hpp"

namespace {

// A mount namespace of its own: before the first thread, since it belongs to a thread.
void own_mounts() {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) skip("no mount namespace is allowed here");
}
void hide_maps() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string maps = "/proc/" + std::to_string(getpid()) + "/task/" + task.path().filename().string() + "/maps";
    if (mount("/dev/null", maps.c_str(), nullptr, MS_BIND, nullptr) != 0) skip("no bind mount over /proc is allowed here");
  }
}

// One descriptor is left: the endpoint takes it for the connection.
void use_up_descriptors() {
  int next = dup(0);
  close(next);
  rlimit limit = {static_cast<rlim_t>(next) + 1, static_cast<rlim_t>(next) + 1};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) skip("setrlimit is not allowed here");
}

// As a daemon that has started as root: /proc/self/mem and pagemap then belong to root.
void drop_privileges() {
  if (geteuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)) skip("setresuid fails");
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

// The limit does not hold for root.
void use_up_processes() {
  if (geteuid() == 0 && (setresgid(65533, 65533, 65533) != 0 || setresuid(65533, 65533, 65533) != 0)) skip("setresuid fails");
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  rlimit one{1, 1};
  if (setrlimit(RLIMIT_NPROC, &one) != 0) skip("setrlimit is not allowed here");
}

// Of all real-time signals, as a program does that knows nothing of stray.
void set_handlers(void (*handler)(int)) {
  for (int s = SIGRTMIN; s <= SIGRTMAX; s++) std::signal(s, handler);
}

void damage(std::string_view what) {
  if (what == "masked_thread" || what == "sigwait_thread") refuse({SYS_ptrace}, EPERM);
  if (what == "no_clone") refuse({SYS_clone, SYS_clone3, SYS_fork, SYS_vfork}, EPERM);
  if (what == "no_processes") use_up_processes();
  if (what == "no_open") refuse({SYS_open, SYS_openat, SYS_openat2}, EACCES);
  if (what == "no_maps") hide_maps();
  if (what == "no_descriptors") use_up_descriptors();
  if (what == "dropped_privileges") drop_privileges();
  if (what == "reset_handlers") set_handlers(SIG_DFL);
  if (what == "own_handlers") set_handlers([](int) { std::cout << "a signal not asked for" << std::endl; });
}

std::latch masked(1), end(1);

// The kernel's file says "running" until it has seen the thread off the processor.
std::atomic<int> holder_tid{0};
void wait_asleep() {
  while (holder_tid.load() == 0) std::this_thread::yield();
  for (std::string word; word.empty() || word == "running"; std::this_thread::yield()) {
    std::ifstream("/proc/self/task/" + std::to_string(holder_tid.load()) + "/syscall") >> word;
  }
}

int vfork_ends[2];

// Until the end of the program, in a way that a signal cannot interrupt, or must not.
void wait_for_end(std::string_view how) {
  sigset_t all;
  sigfillset(&all);
  const bool waits = how.starts_with("sigwait_thread");
  if (waits || how.starts_with("masked_thread")) pthread_sigmask(SIG_BLOCK, &all, nullptr);
  holder_tid.store(gettid());
  masked.count_down();
  if (how == "vfork_thread") {
    pid_t child = vfork();
    if (child == 0) {
      char c;
      syscall(SYS_read, vfork_ends[0], &c, 1);
      _exit(0);
    }
  }
  int got = 0;
  if (waits && sigwait(&all, &got) == 0 && got != SIGUSR1) std::cout << "signal " << got << " not asked for" << std::endl;
  end.wait();
}

// Holds the only handle that can wake `answer`.
void hold(stray::chan<int> requests, std::string_view how) {
  wait_for_end(how);
  requests.send(1);
}
[[gnu::noinline]] void answer(const stray::recv_chan<int>& requests) { requests.recv(); }
[[gnu::noinline]] void leak(const stray::chan<int>& orders) { orders.recv(); }

// Leaves no handle in main's frame.
[[gnu::noinline]] std::thread start(std::string_view how) {
  stray::go(leak, stray::make_chan<int>());
  auto requests = stray::make_chan<int>();
  stray::go(answer, requests);
  return std::thread(hold, std::move(requests), how);
}

void print(const char* when) {
  stray::leak::report r = stray::leak::find();
  std::cout << when << ' ' << r.total() << (r.complete() ? " complete" : " incomplete") << '\n';
  for (const stray::leak::group& g : r.groups()) std::cout << "leak: " << g.stack.at(0).function << '\n';
  for (const std::string& note : r.notes()) std::cout << "note: " << note << '\n';
  std::cout << "took " << r.elapsed().count() / 1'000'000 << " ms" << std::endl;
}

}  // namespace

int main(int, char** argv) {
  const std::string_view what = argv[1];
  if (what == "no_maps") own_mounts();
  if (what == "no_affinity") refuse({SYS_sched_getaffinity}, EPERM);
  auto server = stray::pprof::serve("127.0.0.1:0");
  bool from_start = what == "no_affinity" || what.find("_thread") != what.npos;
  if (pipe(vfork_ends) != 0) return 1;
  std::thread holder = start(what);
  masked.wait();
  if (from_start) wait_asleep();
  stray::testing::until_parked(2);
  if (!from_start) print("before");
  damage(what);
  print("after");
  stray::pprof::write("goroutineleak", std::cout, 1);
  std::cout << "port " << server.port() << std::endl;
  std::cin.get();
  end.count_down();
  pthread_kill(holder.native_handle(), what.starts_with("sigwait_thread") ? SIGUSR1 : 0);
  if (write(vfork_ends[1], "x", 1) != 1) return 1;
  holder.join();
  while (stray::num_goroutine() != 1) stray::yield();
  return 0;
}
