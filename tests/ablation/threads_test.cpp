// Leaks of OS threads: they cannot be ended, so each test here is a process of its own (ctest).
#include <thread>
#include <unistd.h>

#include "scene.hpp"

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

}  // namespace
