// A process that forks after the runtime has started; children end with status 0 when all was as it should be.
//
//   interop_forks afresh | primitives | timers | in_goroutine | in_thread | inherited | unused | busy | watch | nested | fails | asleep | locked
//   interop_forks daemon [late] [twice]   serves by STRAY_PPROF, becomes a daemon, and prints `daemon PID`; late: goroutines before; ends with
//                                  the end of stdin
//   interop_forks sleeper          forks at a line of stdin and prints `child PID` of a child that never uses the library; ends with the next line
//   interop_forks serves           prints `child PID` of a child that uses goroutines beside its parent, which serves on
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

using namespace std::chrono_literals;

#define REQUIRE(condition) (static_cast<bool>(condition) ? void() : fail(#condition, __LINE__))
[[noreturn]] void fail(const char* what, int line) {
  std::cerr << "forks.cpp:" << line << ": " << what << std::endl;
  _exit(1);
}

// Runs it in a child; its status.
int in_child(const std::function<void()>& body) {
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    body();
    _exit(0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
void expect_in_child(int line, const std::function<void()>& body, int expected = 0) {
  int status = in_child(body);
  if (status == expected) return;
  std::cerr << "forks.cpp:" << line << ": a child ended with " << status << std::endl;
  _exit(1);
}

[[gnu::noinline]] void leak() {
  stray::go([ch = stray::make_chan<int>()] { ch.recv(); });
}

// On a busy machine a detection may run out of its 20 ms for descriptors, or of those for files: then it is likely.
[[gnu::noinline]] std::size_t leaks_now() {
  const stray::leak::options likely{.min_tier = stray::leak::tier::likely};
  stray::leak::report r = stray::leak::find(likely);
  for (int tries = 0; !r.complete() && tries < 100; tries++) r = stray::leak::find(likely);
  if (!r.complete()) std::cerr << r << std::endl;
  REQUIRE(r.complete());
  return r.total();
}

struct box {
  stray::semaphore permits{0};
};
// Starts a waiter that owns what it waits on; only `where` leads to that.
[[gnu::noinline]] void wait_on_own(const std::function<void(box*)>& put) {
  std::atomic<bool> known{false};
  stray::go([&] {
    auto own = std::make_unique<box>();
    put(own.get());
    known = true;
    own->permits.acquire();
  });
  while (!known) std::this_thread::yield();
  stray::testing::until_parked(1);
}

// A stack that the child has inherited is memory: of a goroutine of the parent's that is reached through a global.
struct account {
  box* volatile owner = nullptr;
};
account* volatile known_account;
void inherited() {
  for (bool parked : {true, false}) {
    auto stop = stray::make_chan<int>();
    std::atomic<bool> quit{false};
    stray::go([&] {
      account here;
      known_account = &here;
      if (parked) stop.recv();
      while (!parked && !quit) {
      }
    });
    while (known_account == nullptr) std::this_thread::yield();
    if (parked) stray::testing::until_parked(1);
    auto child = [] {
      wait_on_own([](box* b) { known_account->owner = b; });
      REQUIRE(leaks_now() == 0);
      known_account->owner->permits.release();
    };
    expect_in_child(__LINE__, child);
    auto status = stray::make_chan<int>(1);
    stray::go([&] { status.send(in_child(child)); });
    REQUIRE(*status.recv() == 0);
    quit = true;
    stop.close();
    known_account = nullptr;
    while (stray::num_goroutine() != 0) std::this_thread::yield();
  }
}

// What everybody does with goroutines.
void work() {
  auto numbers = stray::make_chan<int>();
  stray::wait_group all;
  std::atomic<int> sum{0};
  for (int i = 1; i <= 10; i++) all.go([numbers, i] { numbers.send(i); });
  for (int i = 0; i < 10; i++) sum += *numbers.recv();
  all.wait();
  REQUIRE(sum == 55);
  bool fired = false;
  stray::select(stray::on_recv(stray::after(1ms), [&](auto) { fired = true; }));
  REQUIRE(fired);
}

std::vector<stray::chan<int>> parked_on;
void park(int n) {
  for (int i = 0; i < n; i++) {
    parked_on.push_back(stray::make_chan<int>());
    stray::go([ch = parked_on.back()] { ch.recv(); });
  }
  stray::testing::until_parked(static_cast<std::size_t>(n));
}

void afresh() {
  park(100);
  stray::mutex held;
  std::lock_guard hold(held);
  REQUIRE(stray::num_goroutine() == 100);
  for (int i = 0; i < 10; i++) {
    expect_in_child(__LINE__, [&] {
      REQUIRE(!held.try_lock());  // still ours
      REQUIRE(stray::num_goroutine() == 0);
      work();
      held.unlock();
      held.lock();
      leak();
      stray::testing::until_parked(1);
      REQUIRE(leaks_now() == 1);
    });
  }
  REQUIRE(stray::num_goroutine() == 100);
  REQUIRE(leaks_now() == 0);
  expect_in_child(
      __LINE__, [] { std::exit(3); }, 3);
  expect_in_child(
      __LINE__, [] { work(), std::exit(3); }, 3);
}

// What the parent's goroutines wait on.
void primitives() {
  auto full = stray::make_chan<int>(3), handed = stray::make_chan<int>(), taken = stray::make_chan<int>();
  for (int i = 1; i <= 3; i++) full.send(i);
  stray::mutex lock;
  stray::condition_variable changed;
  stray::semaphore none(0);
  stray::wait_group group;
  stray::shared_mutex shared;
  bool ready = false;
  group.add(1);
  lock.lock();
  shared.lock_shared();
  for (int i = 0; i < 3; i++) {
    stray::go([&] { full.send(9); });
    stray::go([&] { handed.recv(); });
    stray::go([&] { taken.send(9); });
    stray::go([&] { none.acquire(); });
    stray::go([&] { group.wait(); });
    stray::go([&] { std::lock_guard hold(lock); });
    stray::go([&] { std::lock_guard hold(shared); });
    stray::go([&] {
      stray::mutex own;
      std::unique_lock hold(own);
      while (!ready) changed.wait(hold);
    });
  }
  stray::testing::until_parked(24);
  auto look = [&](int order) {
    if (order == 1) work();  // else the first use is one of these
    if (order == 2) changed.notify_one();
    if (order == 3) none.release();
    REQUIRE(!handed.try_send(1));
    std::optional<int> got;
    REQUIRE(taken.try_recv(got) == stray::chan_status::would_block);
    for (int i = 1; i <= 3; i++) REQUIRE(full.recv() == i);
    REQUIRE(full.len() == 0);
    stray::go([&] { handed.send(5); });
    REQUIRE(handed.recv() == 5);
    lock.unlock();
    std::thread([&] { std::lock_guard hold(lock); }).join();
    lock.lock();
    if (order != 3) none.release();
    none.acquire();
    shared.unlock_shared();
    group.done();
    group.wait();
    while (stray::num_goroutine() != 0) stray::sleep_for(1ms);
  };
  for (int order = 0; order < 4; order++) expect_in_child(__LINE__, [&] { look(order); });
  REQUIRE(stray::num_goroutine() == 24);
  _exit(0);
}

void timers() {
  park(10);
  for (bool used : {false, true}) {
    auto soon = stray::after(100ms);
    stray::timer kept(50ms);
    stray::ticker every(10ms);
    std::atomic<int> calls{0};
    stray::timer called = stray::after_func(50ms, [&] { calls++; });
    auto [ctx, cancel] = stray::with_timeout(stray::background(), 100ms);
    expect_in_child(__LINE__, [&, ctx = ctx] {
      const int before = calls;
      if (used) work();
      kept.reset(1ms);
      REQUIRE(kept.channel().recv());
      called.reset(1ms);
      while (calls == before) stray::sleep_for(1ms);
      every.reset(1ms);
      REQUIRE(every.channel().recv());
      stray::sleep_for(200ms);
      std::optional<stray::time_point> value;
      REQUIRE(calls == before + 1);
      REQUIRE(soon.try_recv(value) == stray::chan_status::would_block);
      REQUIRE(!ctx.err());
    });
    REQUIRE(soon.recv());
    while (calls == 0) stray::sleep_for(1ms);
    REQUIRE(ctx.err());
  }
}

void in_goroutine() {
  park(10);
  std::atexit([] { std::cout << "atexit" << std::endl; });
  for (int what = 0; what < 4; what++) {
    auto status = stray::make_chan<int>(1);
    stray::go({.stack_size = 256 << 10}, [status, what] {
      stray::mutex held;
      std::lock_guard hold(held);
      pid_t pid = fork();
      if (pid == 0) {
        alarm(60);
        if (what == 0) _exit(7);
        REQUIRE(stray::goroutine_id() == 0);
        if (what >= 2) {
          work();
          REQUIRE(!held.try_lock());
          auto mine = stray::make_chan<int>();  // known here only
          stray::go([mine] { mine.recv(); });
          leak();
          stray::testing::until_parked(2);
          REQUIRE(leaks_now() == 1);
          mine.send(1);
        }
        if (what == 3) std::exit(7);
        return;  // the end of the child
      }
      int got = 0;
      stray::blocking([&] { waitpid(pid, &got, 0); });
      status.send(WIFEXITED(got) ? WEXITSTATUS(got) : -WTERMSIG(got));
    });
    REQUIRE(status.recv() == (what == 0 || what == 3 ? 7 : 0));
  }
  _exit(0);
}

// By pthread_exit: its thread stays as a zombie until the process ends.
bool main_has_ended() {
  std::ifstream file("/proc/" + std::to_string(getpid()) + "/stat");
  std::string text;
  std::getline(file, text);
  return text.find(") Z") != std::string::npos;
}

// The end of a thread that forked is the end of the child; main's pthread_exit is not.
void in_thread() {
  for (bool started : {false, true}) {
    if (started) park(10);
    for (bool used : {false, true}) {
      int status = -1;
      std::thread([&] {
        pid_t pid = fork();
        if (pid == 0) {
          alarm(60);
          if (used) work();
          return;
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
      }).join();
      REQUIRE(status == 0);
    }
    expect_in_child(
        __LINE__,
        [] {
          std::jthread([] { work(); });
          stray::go([] {
            while (!main_has_ended()) stray::sleep_for(1ms);
            _exit(7);
          });
          pthread_exit(nullptr);
        },
        7);
  }
  _exit(0);
}

stray::leak::subscription watched;  // destroyed in children, too
std::optional<stray::pprof::server> server;

void detect_for_ever() {
  std::thread([] {
    for (;;) stray::leak::find();
  }).detach();
}

// Children that end without ever using what they have inherited.
void unused() {
  park(10);
  watched = stray::leak::on_leak([](const stray::leak::report&) {}, 1ms);
  server = stray::pprof::serve("127.0.0.1:0");
  detect_for_ever();
  for (int i = 0; i < 50; i++) {
    auto began = std::chrono::steady_clock::now();
    expect_in_child(
        __LINE__, [] { std::exit(3); }, 3);
    REQUIRE(std::chrono::steady_clock::now() - began < 10s);
  }
  stray::pprof::response r = stray::pprof::handle("GET", "/debug/pprof/");
  REQUIRE(r.status == 200);
  std::cout << "port " << server->port() << std::endl;
  std::cin.get();
  _exit(0);
}

// From a thread, while workers, timers, the detector and the watch are in the middle of something.
void busy() {
  std::atomic<bool> done{false};
  watched = stray::leak::on_leak([](const stray::leak::report&) {}, 1ms);
  for (int i = 0; i < 4; i++) {
    auto ch = stray::make_chan<int>();
    stray::go([ch, &done] {
      for (int n = 0; !done; n++) ch.send(n);
      ch.close();
    });
    stray::go([ch] {
      for (int n : ch) stray::go([n] { stray::sleep_for(std::chrono::microseconds(n % 100)); });
    });
  }
  detect_for_ever();
  for (int i = 0; i < 40; i++) {
    expect_in_child(__LINE__, [] {
      work();
      leak();
      stray::testing::until_parked(1);
      REQUIRE(leaks_now() == 1);
      std::exit(0);
    });
  }
  _exit(0);
}

std::atomic<pid_t> called_in{0};
void watch() {
  watched = stray::leak::on_leak([](const stray::leak::report&) { called_in = getpid(); }, 1ms);
  park(10);
  expect_in_child(__LINE__, [] {
    leak();
    while (called_in != getpid()) stray::sleep_for(1ms);
    watched = {};
    watched = stray::leak::on_leak([](const stray::leak::report&) {}, 1ms);
    std::exit(0);
  });
  REQUIRE(called_in == 0);
}

void nested() {
  park(10);
  for (bool used : {false, true}) {
    expect_in_child(__LINE__, [used] {
      if (used) work();
      for (int i = 0; i < 3; i++) expect_in_child(__LINE__, [] { work(); });
      work();
      expect_in_child(__LINE__, [] { work(); });
      leak();
      stray::testing::until_parked(1);
      REQUIRE(leaks_now() == 1);
    });
  }
  work();
}

void fails() {
  park(10);
  expect_in_child(
      __LINE__, [] { stray::go([] { throw std::runtime_error("in the child"); }), stray::sleep_for(1h); }, 2);
  work();
}

// Who waits for somebody who is not there is told so.
void asleep() {
  auto never = stray::make_chan<int>();
  stray::go([never] { stray::sleep_for(1h), never.send(1); });
  park(1);
  expect_in_child(
      __LINE__, [&] { never.recv(); }, 2);
}

std::atomic<bool> moving{false}, may_move{false};
struct slow {
  slow() = default;
  slow(slow&&) noexcept { wait(); }
  slow& operator=(slow&&) noexcept { return wait(), *this; }
  static void wait() {
    moving = true;
    while (!may_move) std::this_thread::yield();
  }
};
void locked() {
  auto ch = stray::make_chan<slow>(1);
  std::thread sender([ch] { ch.send(slow()); });
  while (!moving) std::this_thread::yield();
  expect_in_child(
      __LINE__, [&] { static_cast<void>(ch.len()); }, 2);
  may_move = true;
  sender.join();
}

void be_daemon(bool late, bool twice) {
  if (late) park(10);
  if (twice && fork() != 0) _exit(0);
  if (daemon(1, 1) != 0) _exit(1);
  work();
  leak();
  std::cout << "daemon " << getpid() << std::endl;
  std::cin.get();
}

// The child never uses what it has inherited.
void sleeper() {
  std::string line;
  std::getline(std::cin, line);
  if (fork() == 0) {
    std::cout << "child " << getpid() << std::endl;
    for (;;) pause();
  }
  std::getline(std::cin, line);
}

void serves() {
  park(10);
  pid_t pid = fork();
  if (pid == 0) {
    work();
    std::cout << "child " << getpid() << std::endl;
    stray::sleep_for(1h);
  }
  std::cin.get();
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> all(argv + 1, argv + argc);
  const std::string_view how = all.at(0);
  if (how == "afresh") afresh();
  if (how == "primitives") primitives();
  if (how == "timers") timers();
  if (how == "in_goroutine") in_goroutine();
  if (how == "in_thread") in_thread();
  if (how == "inherited") inherited();
  if (how == "unused") unused();
  if (how == "busy") busy();
  if (how == "watch") watch();
  if (how == "nested") nested();
  if (how == "fails") fails();
  if (how == "asleep") asleep();
  if (how == "locked") locked();
  if (how == "daemon") be_daemon(all.size() > 1 && all[1] == "late", all.size() > 1 && all.back() == "twice");
  if (how == "sleeper") sleeper();
  if (how == "serves") serves();
  return 0;
}
