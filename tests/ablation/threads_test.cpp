// Leaks of OS threads: they cannot be ended, so each test here is a process of its own (ctest).
#include <thread>
#include <unistd.h>

#include "leak/detect/detector.h"
#include "scene.hpp"

#include "runtime/service_thread.h"
#include "runtime/started.h"

namespace {

using namespace ablation;
using namespace std::chrono_literals;

// A thread that has created others: their control blocks keep its registers of then.
TEST(threads, whose_creator_is_blocked_for_ever) {
  std::atomic<bool> over{false};
  std::thread t([&] {
    std::thread([&] {
      while (!over) usleep(10'000);
    }).detach();
    auto to_g = stray::make_chan<int>(), to_t = stray::make_chan<int>();
    stray::go([&] {
      to_g.recv();
      to_t.send(1);
    });
    to_t.recv();
  });
  t.detach();
  std::this_thread::sleep_for(50ms);
  std::size_t proven = 0;
  for (const auto& f : stray::leak::detect()->list) proven += f.tier >= tier::cycle;
  EXPECT_EQ(proven, 2u);
  over = true;
}

// The only pointer lies in a frame and in the thread-local storage of a thread that sleeps.
thread_local std::atomic<holder*> of_thread{nullptr};

std::optional<tier> verdict_with_thread(bool of_ours) {
  std::atomic<std::uint32_t> over{0}, ready{0};
  start_owner(hand);
  std::thread t([&] {
    std::optional<stray::runtime::service_thread> ours;
    if (of_ours) ours.emplace();
    std::atomic<holder*> in_frame{unmask()};
    of_thread = in_frame.load();
    ready = 1;
    ready.notify_one();
    over.wait(0);
    in_frame = nullptr;
  });
  ready.wait(0);
  std::optional<tier> found = verdict();
  over = 1;
  over.notify_one();
  t.join();
  unmask()->ch.close();
  until_all_ended();
  return found;
}

TEST(threads, of_our_servers_are_no_roots) {
  EXPECT_EQ(verdict_with_thread(false), std::nullopt);
  EXPECT_EQ(verdict_with_thread(true), tier::proven);
}

}  // namespace
