#include "noise.hpp"

#include <list>
#include <memory>
#include <random>
#include <shared_mutex>
#include <thread>
#include <unistd.h>

#include "fiber.hpp"
#include "lives.hpp"
#include "places.hpp"

namespace truth {

namespace {

using namespace std::chrono_literals;

std::atomic<bool> over{false};
stray::wait_group goroutines;
std::vector<std::thread> threads;

// Many short ones, so that records and stacks are used again.
void fan_out() {
  while (!over) {
    stray::wait_group some;
    for (int i = 0; i < 6; i++) {
      some.go([i] {
        if (i % 2 == 0) stray::yield();
      });
    }
    some.wait();
  }
}

void churn(std::uint64_t seed) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  std::list<std::vector<void*>> kept;
  while (!over) {
    kept.emplace_back(random() % (random() % 64 == 0 ? 20'000 : 40), nullptr);
    if (kept.size() > 100) kept.erase(kept.begin(), std::next(kept.begin(), 50));
  }
}

// Leaks, for those who reclaim: their records are used again. In bursts, so that there are times without a new one.
void plant() {
  for (int i = 0; !over && i < 2000; i++) {
    auto ch = stray::make_chan<int>();
    stray::go([rx = stray::recv_chan<int>(ch)] {
      write_planted();
      rx.recv();
    });
    if (i % 16 == 15) stray::sleep_for(i % 64 == 15 ? 5ms : 100ms);
  }
}

// Goroutines that compute on fibers.
void compute_on_fibers() {
  while (!over) {
    auto body = [] {
      for (int i = 0; i < 20'000 && !over; i++) __builtin_ia32_pause();
    };
    on_fiber(memory::heap, false, body);
    on_fiber(memory::mapping, true, body);
    stray::yield();
  }
}

// Somebody waits on a semaphore in its own frame; whose pointer goes by one word to whoever wakes it, and is gone with the call.
std::atomic<stray::semaphore*> bell{nullptr};
[[gnu::noinline]] void ring(stray::semaphore* s) { return s->release(); }
[[gnu::noinline]] void ring_next() {
  stray::semaphore* s = bell.exchange(nullptr);
  if (s != nullptr) return ring(s);
}
void wait_for_the_bell() {
  while (!over) {
    stray::semaphore mine(0);
    stray::semaphore* nobody = nullptr;
    while (!bell.compare_exchange_weak(nobody, &mine)) {
      nobody = nullptr;
      stray::yield();
    }
    mine.acquire();
  }
}

void threads_come_and_go() {
  while (!over) {
    std::thread([] {
      auto ch = stray::make_chan<int>();
      stray::go([ch] { ch.send(1); });
      ch.recv();
    }).join();
  }
}

// So many want it that all wait for longer than a millisecond: each unlock hands over.
stray::mutex wanted;
void hand_over(unsigned spins) {
  while (!over) {
    std::lock_guard hold(wanted);
    for (unsigned i = 0; i < spins; i++) __builtin_ia32_pause();
  }
}

struct account {
  stray::mutex lock;
  stray::condition_variable changed;
  stray::shared_mutex rates;
  int balance = 0;
};
void lock_and_meet() {
  while (!over) {
    auto a = std::make_shared<account>();
    stray::wait_group all;
    all.go([a] {
      std::unique_lock hold(a->lock);
      a->changed.wait(hold, [&] { return a->balance > 0; });
    });
    for (int i = 0; i < 3; i++) {
      all.go([a] {
        std::shared_lock read(a->rates);
        stray::yield();
      });
    }
    all.go([a] {
      std::lock_guard write(a->rates);
      {
        std::lock_guard hold(a->lock);
        a->balance++;
      }
      a->changed.notify_all();
    });
    all.wait();
  }
}

}  // namespace

void begin_noises(const std::vector<std::string>& which, std::uint64_t seed) {
  for (const std::string& n : which) {
    if (n == "fanout") {
      for (int i = 0; i < 2; i++) goroutines.go(fan_out);
    } else if (n == "churn") {
      threads.emplace_back(churn, ++seed);
    } else if (n == "plant") {
      goroutines.go(plant);
    } else if (n == "fibers") {
      goroutines.go(compute_on_fibers);
    } else if (n == "wakes") {
      goroutines.go(wait_for_the_bell);
      goroutines.go(wait_for_the_bell);
      threads.emplace_back([] {
        while (!over) ring_next();
      });
    } else if (n == "threads") {
      threads.emplace_back(threads_come_and_go);
    } else if (n == "handoff") {
      for (unsigned i = 0; i < 12; i++) goroutines.go([i] { hand_over(i * 50); });
      threads.emplace_back(hand_over, 100);
    } else if (n == "locks") {
      goroutines.go(lock_and_meet);
    } else {
      fail("scene", "no noise " + n);
    }
  }
}

void over_noises() {
  over = true;
  std::atomic<bool> ended{false};
  std::thread last([&] {  // who still waits for the bell
    while (!ended) {
      ring_next();
      usleep(50);
    }
  });
  goroutines.wait();
  ended = true;
  last.join();
  for (std::thread& t : threads) t.join();
}

}  // namespace truth
