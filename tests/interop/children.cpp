// The program's own children while detections run: its SIGCHLD handler and its waitpid(-1) see them and nobody else.
//
//   interop_children reaps    forks from main and from a goroutine, execs, reaps by waitpid(-1)
//   interop_children spawns   posix_spawn, system and popen
//   interop_children descends prints, in a child of main and of a goroutine that has called exec, its descriptors and its signal mask
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <set>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

extern char** environ;

namespace {

constexpr int rounds = 30;
std::atomic<int> signals{0};
std::atomic<bool> done{false};

[[noreturn]] void fail(const std::string& what) {
  std::cerr << "children: " << what << std::endl;
  std::_Exit(1);
}

pid_t start_true() {
  pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(127);
  }
  if (pid < 0) fail("fork failed");
  return pid;
}

// There are no other children when it begins.
void reap(std::set<pid_t> own) {
  while (!own.empty()) {
    int status = 0;
    pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0 && errno == EINTR) continue;
    if (own.erase(pid) == 0) fail("waitpid(-1) answered " + std::to_string(pid) + ", no child of the program");
    if (status != 0) fail("a child ended with status " + std::to_string(status));
  }
  if (waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) fail("waitpid(-1) sees a child of somebody else");
}

void reaps() {
  struct sigaction action {};
  action.sa_handler = [](int) { signals++; };
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, nullptr);
  for (int i = 0; i < rounds; i++) {
    std::set<pid_t> own = {start_true()};
    auto from_goroutine = stray::make_chan<pid_t>(1);
    stray::go([from_goroutine] { from_goroutine.send(start_true()); });
    own.insert(*from_goroutine.recv());
    reap(own);
    if (waitpid(-1, nullptr, 0) != -1 || errno != ECHILD) fail("waitpid(-1) waits for a child of somebody else");
  }
  if (signals > 2 * rounds)
    fail("SIGCHLD came " + std::to_string(signals) + " times for " + std::to_string(2 * rounds) + " children");
}

void spawn_each_way() {
  for (int i = 0; i < rounds; i++) {
    pid_t pid = 0;
    char name[] = "true";
    char* arguments[] = {name, nullptr};
    if (posix_spawn(&pid, "/bin/true", nullptr, nullptr, arguments, environ) != 0) fail("posix_spawn failed");
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) fail("the child of posix_spawn was lost");
    if (std::system("exit 3") != 3 << 8) fail("system lost its status");
    FILE* pipe = popen("echo said", "r");
    char line[16] = {};
    if (pipe == nullptr || std::fgets(line, sizeof line, pipe) == nullptr || std::string_view(line) != "said\n") fail("popen");
    if (pclose(pipe) != 0) fail("pclose");
  }
}

void spawns() {
  auto ended = stray::make_chan<void>(1);
  stray::go({.stack_size = 256 << 10}, [ended] {
    spawn_each_way();
    ended.send();
  });
  spawn_each_way();
  ended.recv();
}

// No shell: it would set its own mask.
void run(const std::vector<const char*>& command) {
  pid_t pid = fork();
  if (pid == 0) {
    execv(command[0], const_cast<char* const*>(command.data()));
    _exit(127);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) fail(std::string(command[0]) + " failed");
}

void descend(const char* who) {
  std::cout << who << std::endl;
  run({"/bin/ls", "-l", "/proc/self/fd", nullptr});
  run({"/bin/grep", "^SigBlk", "/proc/self/status", nullptr});
}

void descends() {
  descend("main");
  auto ended = stray::make_chan<void>(1);
  stray::go([ended] {
    descend("goroutine");
    ended.send();
  });
  ended.recv();
}

[[gnu::noinline]] void leak() {
  stray::go([ch = stray::make_chan<int>()] { ch.recv(); });
}

}  // namespace

int main(int, char** argv) {
  const std::string_view what = argv[1];
  auto server = stray::pprof::serve("127.0.0.1:0");
  leak();
  stray::testing::until_parked(1);
  std::atomic<int> found{0};
  std::thread detections([&found] {
    while (!done || found < 3) {
      stray::leak::report r = stray::leak::find();
      if (r.total() > 1 || (r.complete() && r.total() != 1)) fail("wrong report: " + std::to_string(r.total()));
      found += r.complete() ? 1 : 0;
    }
  });
  while (found == 0) stray::yield();
  if (what == "reaps") reaps();
  if (what == "spawns") spawns();
  if (what == "descends") descends();
  done = true;
  detections.join();
  std::cout << "ended" << std::endl;
  return 0;
}
