// Locks and condition variables: never two inside, and who may go in does.
#include "sim.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#include <stray/stray.hpp>

namespace {

using namespace std::chrono_literals;
using stray::wait_group;

// Yields inside, so that others meet a holder that does not run.
SIM_TEST(mutex, one_at_a_time) {
  stray::mutex m;
  std::atomic<int> inside{0};
  int count = 0;
  auto body = [&] {
    for (int i = 0; i < 4; i++) {
      std::lock_guard hold(m);
      SIM_CHECK(inside.fetch_add(1) == 0);
      count++;
      if (i % 2 == 0) stray::yield();
      inside--;
    }
  };
  wait_group all;
  for (int g = 0; g < 4; g++) all.go(body);
  sim::thread outside(body);
  outside.join();
  all.wait();
  SIM_CHECK(count == 20);
}

SIM_TEST(mutex, try_lock_beside_lock) {
  stray::mutex m;
  std::atomic<int> inside{0}, got{0};
  wait_group all;
  for (int g = 0; g < 4; g++) {
    all.go([&, g] {
      for (int i = 0; i < 5; i++) {
        if (g % 2 == 0) {
          if (!m.try_lock()) continue;
        } else {
          m.lock();
        }
        SIM_CHECK(inside.fetch_add(1) == 0);
        got++;
        inside--;
        m.unlock();
      }
    });
  }
  all.wait();
  SIM_CHECK(got >= 10);
}

SIM_TEST(shared_mutex, readers_together_writers_alone) {
  stray::shared_mutex m;
  std::atomic<int> readers{0}, writers{0};
  auto read = [&] {
    for (int i = 0; i < 4; i++) {
      std::shared_lock hold(m);
      readers++;
      SIM_CHECK(writers == 0);
      if (i % 2 == 0) stray::yield();
      readers--;
    }
  };
  auto write = [&] {
    for (int i = 0; i < 3; i++) {
      std::lock_guard hold(m);
      SIM_CHECK(writers.fetch_add(1) == 0 && readers == 0);
      if (i % 2 == 0) stray::yield();
      writers--;
    }
  };
  wait_group all;
  for (int g = 0; g < 3; g++) all.go(read);
  for (int g = 0; g < 2; g++) all.go(write);
  sim::thread outside(sim::random(2) == 0 ? std::function<void()>(read) : std::function<void()>(write));
  outside.join();
  all.wait();
}

SIM_TEST(shared_mutex, try_forms) {
  stray::shared_mutex m;
  std::atomic<int> readers{0}, writers{0};
  wait_group all;
  for (int g = 0; g < 4; g++) {
    all.go([&, g] {
      for (int i = 0; i < 5; i++) {
        if (g == 0) {
          if (!m.try_lock()) continue;
          SIM_CHECK(writers.fetch_add(1) == 0 && readers == 0);
          writers--;
          m.unlock();
        } else if (g == 1) {
          std::lock_guard hold(m);
          SIM_CHECK(writers.fetch_add(1) == 0 && readers == 0);
          writers--;
        } else {
          if (!m.try_lock_shared()) m.lock_shared();
          readers++;
          SIM_CHECK(writers == 0);
          readers--;
          m.unlock_shared();
        }
      }
    });
  }
  all.wait();
}

// Holders sleep for so long that who waits asks to be the next in any case.
void keep_for_long() {
  if (sim::random(3) == 0) stray::sleep_for(700us);
}

SIM_TEST(mutex, who_waits_for_long_is_handed_it) {
  stray::mutex m;
  std::atomic<int> inside{0};
  wait_group all;
  for (int g = 0; g < 4; g++) {
    all.go([&] {
      for (int i = 0; i < 4; i++) {
        std::lock_guard hold(m);
        SIM_CHECK(inside.fetch_add(1) == 0);
        keep_for_long();
        inside--;
      }
    });
  }
  all.wait();
}

SIM_TEST(shared_mutex, who_waits_for_long_is_handed_it) {
  stray::shared_mutex m;
  std::atomic<int> readers{0}, writers{0};
  wait_group all;
  for (int g = 0; g < 5; g++) {
    all.go([&, g] {
      for (int i = 0; i < 4; i++) {
        if (g < 3) {
          std::lock_guard hold(m);
          SIM_CHECK(writers.fetch_add(1) == 0 && readers == 0);
          keep_for_long();
          writers--;
        } else {
          std::shared_lock hold(m);
          readers++;
          SIM_CHECK(writers == 0);
          keep_for_long();
          readers--;
        }
      }
    });
  }
  all.wait();
}

// A bounded queue of one: a lost notify hangs it.
SIM_TEST(condition_variable, notify_one) {
  stray::mutex m;
  stray::condition_variable not_full, not_empty;
  int held = 0, taken = 0;
  wait_group all;
  for (int p = 0; p < 2; p++) {
    all.go([&] {
      for (int i = 0; i < 4; i++) {
        std::unique_lock lock(m);
        not_full.wait(lock, [&] { return held == 0; });
        held++;
        not_empty.notify_one();
      }
    });
    all.go([&] {
      for (int i = 0; i < 4; i++) {
        std::unique_lock lock(m);
        not_empty.wait(lock, [&] { return held == 1; });
        held--;
        taken++;
        not_full.notify_one();
      }
    });
  }
  all.wait();
  SIM_CHECK(taken == 8);
}

SIM_TEST(condition_variable, notify_all) {
  stray::mutex m;
  stray::condition_variable changed;
  int round = 0;
  wait_group all;
  auto follow = [&] {
    for (int r = 1; r <= 3; r++) {
      std::unique_lock lock(m);
      changed.wait(lock, [&] { return round >= r; });
    }
  };
  for (int g = 0; g < 4; g++) all.go(follow);
  sim::thread outside(follow);
  for (int r = 0; r < 3; r++) {
    {
      std::lock_guard lock(m);
      round++;
    }
    changed.notify_all();
    for (std::uint32_t n = sim::random(6); n > 0; n--) stray::yield();
  }
  outside.join();
  all.wait();
}

// Time-outs against notifies: a notify that a timed-out waiter took would be lost to the other.
SIM_TEST(condition_variable, timed_waits) {
  stray::mutex m;
  stray::condition_variable changed;
  int tokens = 0, taken = 0;
  wait_group all;
  for (int g = 0; g < 3; g++) {
    all.go([&] {
      for (int i = 0; i < 3;) {
        std::unique_lock lock(m);
        if (!changed.wait_for(lock, std::chrono::microseconds(sim::random(200)), [&] { return tokens > 0; })) continue;
        tokens--;
        taken++;
        i++;
      }
    });
  }
  all.go([&] {
    for (int i = 0; i < 9; i++) {
      std::lock_guard lock(m);
      tokens++;
      changed.notify_one();
    }
  });
  all.wait();
  SIM_CHECK(taken == 9);
}

SIM_TEST(once, runs_once_and_all_wait_for_it) {
  stray::once once;
  int runs = 0;
  bool done = false;
  wait_group all;
  auto body = [&] {
    once.call([&] {
      runs++;
      stray::yield();
      done = true;
    });
    SIM_CHECK(done);
  };
  for (int g = 0; g < 4; g++) all.go(body);
  sim::thread outside(body);
  outside.join();
  all.wait();
  SIM_CHECK(runs == 1);
}

SIM_TEST(semaphore, never_more_than_its_count) {
  stray::semaphore slots(2);
  std::atomic<int> inside{0};
  wait_group all;
  for (int g = 0; g < 5; g++) {
    all.go([&, g] {
      for (int i = 0; i < 4; i++) {
        if (g == 0) {
          if (!slots.try_acquire_for(std::chrono::microseconds(sim::random(50)))) continue;
        } else {
          slots.acquire();
        }
        SIM_CHECK(inside.fetch_add(1) < 2);
        if (i % 2 == 0) stray::yield();
        inside--;
        slots.release();
      }
    });
  }
  all.wait();
  SIM_CHECK(slots.try_acquire() && slots.try_acquire() && !slots.try_acquire());
}

SIM_TEST(semaphore, release_of_many) {
  stray::semaphore slots(0);
  wait_group all;
  std::atomic<int> through{0};
  for (int g = 0; g < 6; g++) {
    all.go([&] {
      slots.acquire();
      through++;
    });
  }
  sim::thread outside([&] { slots.release(2); });
  slots.release(1);
  slots.release(3);
  outside.join();
  all.wait();
  SIM_CHECK(through == 6);
}

SIM_TEST(wait_group, waits_for_all_each_round) {
  wait_group group;
  std::atomic<int> n{0};
  for (int round = 1; round <= 3; round++) {
    for (int g = 0; g < 4; g++) group.go([&] { n++; });
    wait_group watchers;
    for (int w = 0; w < 2; w++) {
      watchers.go([&, round] {
        group.wait();
        SIM_CHECK(n == 4 * round);
      });
    }
    group.wait();
    SIM_CHECK(n == 4 * round);
    watchers.wait();
  }
}

SIM_TEST(latch, opens_for_all) {
  stray::latch latch(3);
  std::atomic<int> arrived{0};
  wait_group all;
  for (int g = 0; g < 3; g++) {
    all.go([&] {
      arrived++;
      latch.count_down();
    });
    all.go([&] {
      latch.wait();
      SIM_CHECK(arrived == 3);
    });
  }
  latch.wait();
  SIM_CHECK(arrived == 3);
  all.wait();
}

SIM_TEST(barrier, nobody_is_a_phase_ahead) {
  int completed = 0;
  auto complete = [&]() noexcept { completed++; };
  stray::barrier barrier(3, complete);
  wait_group all;
  for (int g = 0; g < 3; g++) {
    all.go([&] {
      for (int phase = 1; phase <= 4; phase++) {
        barrier.arrive_and_wait();
        SIM_CHECK(completed == phase);
        stray::yield();
      }
    });
  }
  all.wait();
  SIM_CHECK(completed == 4);
}

}  // namespace
