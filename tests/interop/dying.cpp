// Fails in one way and ends in another at the same time.
//
//   interop_dying FAILURE END [PARKED]
// FAILURE: panic, overflow, lock (misuse), two (goroutines at a time), detecting (a panic while detections run), thread (std::terminate on a
//   thread of the program's own), closing (a panic of stray's there), segv (a plain fault)
// END, when a line of stdin comes: returns, exits (a goroutine), exits_thread, quick_exits, pthread_exits, terminates (another thread)
//   early: main returns 2 ms after the failing goroutine has been started, and asks nobody
// slow_atexit, slow_static: as returns, and the failure begins while a handler of atexit or the destructor of a static is running
// PARKED: so many more goroutines, which make the trace long.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

using namespace std::chrono_literals;

std::string how;

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[256] = {};
  frame[depth & 255] = 1;
  return depth < 0 ? 0 : recurse(depth + 1) + frame[0];
}
[[gnu::noinline]] void take_order() { throw std::runtime_error("no such order"); }
[[gnu::noinline]] void unlock_nothing() {
  stray::mutex never_locked;
  never_locked.unlock();
}
[[gnu::noinline]] void close_twice() {
  auto ch = stray::make_chan<int>();
  ch.close();
  ch.close();
}
[[gnu::noinline]] void wait_for_order(const stray::chan<int>& orders) { orders.recv(); }

int sink;

void fail(std::string_view what) {
  if (what == "panic" || what == "two" || what == "detecting") stray::go(take_order);
  if (what == "two") stray::go(take_order);
  if (what == "overflow") stray::go([] { sink = recurse(0); });
  if (what == "lock") stray::go(unlock_nothing);
  if (what == "thread") std::thread(take_order).detach();
  if (what == "closing") std::thread(close_twice).detach();
  if (what == "segv") stray::go([] { std::raise(SIGSEGV); });
}

// The failure begins in the middle of the end. In a destructor goroutines run while it waits in a primitive.
void in_the_middle() {
  fail(how);
  auto told = stray::make_chan<void>();
  std::thread([told] {
    std::string line;
    std::getline(std::cin, line);
    told.send();
  }).detach();
  told.recv();
}

struct slow_static {
  bool on = false;
  ~slow_static() {
    if (on) in_the_middle();
  }
} at_end;

std::atomic<bool> detected{false};
void detect_for_ever() {
  std::thread([] {
    for (;;) {
      stray::leak::find();
      detected = true;
    }
  }).detach();
  while (!detected) std::this_thread::yield();
}

}  // namespace

int main(int argc, char** argv) {
  how = argv[1];
  const std::string_view end = argv[2];
  auto orders = stray::make_chan<int>();
  const int parked = argc > 3 ? std::atoi(argv[3]) : 1;
  for (int i = 0; i < parked; i++) stray::go(wait_for_order, orders);
  stray::testing::until_parked(static_cast<std::size_t>(parked));
  if (how == "detecting") detect_for_ever();
  if (end == "slow_static") {
    at_end.on = true;
    return 0;
  }
  if (end == "slow_atexit") {
    std::atexit(in_the_middle);
    return 0;
  }
  fail(how);
  if (end == "early") {
    stray::sleep_for(2ms);
    return 0;
  }
  std::string line;
  std::getline(std::cin, line);
  if (end == "exits") stray::go([] { std::exit(0); });
  if (end == "exits_thread") std::thread([] { std::exit(0); }).detach();
  if (end == "quick_exits") std::quick_exit(0);
  if (end == "terminates") std::thread([] { std::terminate(); }).detach();
  if (end == "pthread_exits") pthread_exit(nullptr);
  if (end != "returns") stray::make_chan<void>().recv();
  return 0;
}
