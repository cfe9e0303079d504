// The scheduler: everything started is run, once, whatever happens to workers.
#include "sim.h"

#include <atomic>
#include <vector>

#include <stray/stray.hpp>
#include "base/sync_shim.h"

namespace {

using namespace std::chrono_literals;
using stray::wait_group;

// More goroutines than a queue of four holds: overflow, stealing, the global queue.
SIM_TEST(scheduler, all_run_once) {
  std::vector<std::atomic<int>> runs(40);
  wait_group all;
  for (std::size_t i = 0; i < 20; i++) {
    all.go([&, i] {
      runs[i]++;
      if (i % 3 == 0) stray::yield();
      all.go([&, i] { runs[20 + i]++; });
    });
  }
  all.wait();
  for (auto& n : runs) SIM_CHECK(n == 1);
}

SIM_TEST(scheduler, goroutines_and_threads_start_goroutines) {
  std::atomic<int> n{0};
  wait_group all;
  auto start = [&] {
    for (int i = 0; i < 6; i++) {
      all.go([&] { n++; });
      if (i % 2 == 0) stray::yield();
    }
  };
  sim::thread a(start), b(start);
  all.go(start);
  a.join(), b.join();
  all.wait();
  SIM_CHECK(n == 18);
}

SIM_TEST(scheduler, yields_pass_the_turn) {
  std::atomic<int> turn{0};
  wait_group all;
  for (int g = 0; g < 3; g++) {
    all.go([&, g] {
      for (int i = 0; i < 3; i++) {
        while (turn % 3 != g) stray::yield();
        turn++;
      }
    });
  }
  all.wait();
  SIM_CHECK(turn == 9);
}

SIM_TEST(scheduler, maxprocs_changes_under_load) {
  std::atomic<bool> over{false};
  wait_group all;
  auto ping = stray::make_chan<int>(), pong = stray::make_chan<int>();
  all.go([=] {
    for (int i = 0; i < 12; i++) ping.send(i), pong.recv();
  });
  all.go([=] {
    for (int i = 0; i < 12; i++) ping.recv(), pong.send(i);
  });
  all.go([&] {
    while (!over) stray::yield();
  });
  for (int i = 0; i < 4; i++) {
    stray::maxprocs(static_cast<int>(sim::random(4)) + 1);
    for (std::uint32_t n = sim::random(5); n > 0; n--) stray::yield();
  }
  over = true;
  all.wait();
}

SIM_TEST(scheduler, blocking_calls_lend_their_permits) {
  std::atomic<int> n{0};
  auto go_on = stray::make_chan<void>();
  wait_group all;
  for (int g = 0; g < 3; g++) {
    all.go([&, go_on] {
      for (int i = 0; i < 3; i++) {
        stray::blocking([] {
          for (std::uint32_t k = sim::random(10); k > 0; k--) std::atomic_thread_fence(std::memory_order_seq_cst);
        });
        n++;
        if (i == 1) stray::blocking([&] { go_on.recv(); });  // parks inside
      }
    });
  }
  all.go([=] {
    for (int i = 0; i < 3; i++) go_on.send();
  });
  all.wait();
  SIM_CHECK(n == 9);
}

// Its thread is the same before and after each park.
SIM_TEST(scheduler, locked_goroutines_stay_on_their_threads) {
  sim::watched();  // it makes the worker that takes over
  auto ping = stray::make_chan<int>();
  wait_group all;
  for (int g = 0; g < 2; g++) {
    all.go([=] {
      stray::lock_os_thread();
      int here = stray::base::thread_id();
      for (int i = 0; i < 4; i++) {
        ping.recv();
        SIM_CHECK(stray::base::thread_id() == here);
        stray::yield();
        SIM_CHECK(stray::base::thread_id() == here);
      }
      stray::unlock_os_thread();
      stray::yield();
    });
  }
  all.go([=] {
    for (int i = 0; i < 8; i++) ping.send(i);
  });
  all.wait();
}

// A goroutine that ends locked, and one that never yields, hold nobody up.
SIM_TEST(scheduler, a_locked_goroutine_ends) {
  sim::watched();
  std::atomic<int> n{0};
  wait_group all;
  for (int g = 0; g < 3; g++) {
    all.go([&] {
      stray::lock_os_thread();
      n++;
    });
    all.go([&] { n++; });
  }
  all.wait();
  SIM_CHECK(n == 6);
}

}  // namespace
