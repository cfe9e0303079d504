// Ends in the way that the argument names, while goroutines are blocked and running, and with `detecting` in the middle of a detection.
//
//   interop_ending returns       main returns 7
//   interop_ending returns_detecting
//   interop_ending exits         a goroutine calls std::exit(7)
//   interop_ending exits_thread  an OS thread does
//   interop_ending returns_joining, exits_joining
//                                a static, older than the runtime, whose destructor waits for its goroutines
//   interop_ending returns_watching  while on_leak calls back without end, for a static and for a detached subscription
//   interop_ending exits_watching    a callback of on_leak calls std::exit(7)
//   interop_ending detects       detections without end, until a signal ends it
// Prints `ready` before; what atexit handlers and destructors of statics print comes after.
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

struct said_at_exit {
  ~said_at_exit() { std::cout << "destroyed" << std::endl; }
} at_exit;

// Its goroutines have work left when the process ends.
class pool {
 public:
  void open() {
    jobs_ = stray::make_chan<int>(100);
    for (int i = 0; i < 100; i++) jobs_.send(i);
    for (int i = 0; i < 3; i++) {
      workers_.go([this] {
        start_.wait();
        for (int job : jobs_) {
          stray::sleep_for(std::chrono::microseconds(10));
          sum_ += job;
        }
      });
    }
  }
  ~pool() {
    if (!jobs_) return;
    jobs_.close();
    start_.count_down();
    workers_.wait();
    std::cout << "joined " << sum_ << std::endl;
  }

 private:
  stray::chan<int> jobs_;
  stray::latch start_{1};
  stray::wait_group workers_;
  std::atomic<int> sum_{0};
} with_goroutines;

std::atomic<long> spins{0};
stray::mutex held;

struct node {
  std::unique_ptr<node> next;
  char load[48];
};
std::unique_ptr<node> blocks;  // what makes a detection last

[[gnu::noinline]] void block_and_run() {
  stray::go([ch = stray::make_chan<int>()] { ch.recv(); });
  stray::go([] { stray::select(); });
  stray::go([] { stray::sleep_for(std::chrono::hours(1)); });
  held.lock();
  stray::go([] { held.lock(); });
  stray::testing::until_parked(3);
  stray::go([] {
    for (;;) spins++;
  });
  stray::go([] {
    for (;;) stray::yield();
  });
}

stray::leak::subscription watched;  // older than the runtime
std::atomic<int> calls{0};
std::atomic<bool> may_exit{false};

// Each call finds a new leak for the next one.
void watch_for_ever(bool exits) {
  auto called = [exits](const stray::leak::report&) {
    stray::go([ch = stray::make_chan<int>()] { ch.recv(); });
    if (++calls >= 10 && exits && may_exit) std::exit(7);
  };
  watched = stray::leak::on_leak(called, std::chrono::milliseconds(1), {}, 1);
  stray::leak::on_leak(called, std::chrono::milliseconds(1), {}, 1).detach();
}

void detect_for_ever() {
  for (int i = 0; i < 1'000'000; i++) {
    auto fresh = std::make_unique<node>();
    fresh->next = std::move(blocks);
    blocks = std::move(fresh);
  }
  std::thread([] {
    for (;;) stray::leak::find();
  }).detach();
}

}  // namespace

int main(int, char** argv) {
  const std::string_view how = argv[1];
  stray::maxprocs(4);  // the spinning one has a worker of its own
  block_and_run();
  if (how.ends_with("joining")) with_goroutines.open();
  if (how.ends_with("detecting") || how == "detects") detect_for_ever();
  if (how.ends_with("watching")) watch_for_ever(how == "exits_watching");
  while (how == "returns_watching" && calls < 10) stray::yield();
  std::cout << "ready" << std::endl;
  std::cin.get();
  may_exit = true;
  if (how == "exits" || how == "exits_joining") stray::go([] { std::exit(7); });
  if (how == "exits_thread") std::thread([] { std::exit(7); }).detach();
  if (how.starts_with("exits") || how == "detects") stray::make_chan<void>().recv();
  for (; blocks != nullptr; blocks = std::move(blocks->next)) {
  }
  return 7;
}
