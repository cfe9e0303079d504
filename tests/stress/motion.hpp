// A program in full motion that keeps its own table of the truth: each goroutine that can never wake again writes itself in before it blocks.
//
// In motion: threads in malloc and free, goroutines that start and end, channels that change hands through channels, containers, closures and
// OS threads, locks and meetings on heap objects, timers, contexts.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <shared_mutex>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace motion_test {

using namespace std::chrono_literals;
using stray::chan;
using stray::make_chan;

struct dice {
  std::minstd_rand random;
  explicit dice(unsigned seed) : random(seed) {}
  unsigned below(unsigned n) { return static_cast<unsigned>(random() / 7 % n); }
};

// --- the truth -----------------------------------------------------------------------------------------------------------------------
inline std::mutex truth_lock;
inline std::set<std::uint64_t> doomed;
inline void write_myself_in() {
  std::lock_guard hold(truth_lock);
  doomed.insert(stray::goroutine_id());
}
inline std::set<std::uint64_t> doomed_now() {
  std::lock_guard hold(truth_lock);
  return doomed;
}
inline std::atomic<std::size_t> may_plant{0};  // so many may be doomed by now

inline stray::mutex abandoned[4];
[[gnu::noinline]] inline void plant(unsigned kind) {
  switch (kind) {
    case 0: {
      auto ch = make_chan<int>();
      stray::go([ch] {
        write_myself_in();
        ch.recv();
      });
      break;
    }
    case 1: {
      auto a = make_chan<int>(1), b = make_chan<int>();
      stray::go([a, b] {
        write_myself_in();
        stray::select(stray::on_recv(a), stray::on_send(b, 1));
      });
      break;
    }
    case 2:
      stray::go([] {
        write_myself_in();
        auto group = std::make_unique<stray::wait_group>();
        group->add(1);
        group->wait();
      });
      break;
    case 3:
      stray::go([] {
        write_myself_in();
        chan<int>().recv();
      });
      break;
    case 4: {
      auto ch = make_chan<std::unique_ptr<int>>();
      stray::go([ch] {
        write_myself_in();
        ch.send(std::make_unique<int>(1));
      });
      break;
    }
    case 5: {
      auto ctx = stray::with_cancel(stray::background()).ctx;
      stray::go([ctx] {
        write_myself_in();
        ctx.done().recv();
      });
      break;
    }
    default:
      stray::go([kind] {
        write_myself_in();
        abandoned[kind % 4].lock();  // its owner has ended
      });
  }
}

// --- the motion ----------------------------------------------------------------------------------------------------------------------
inline std::atomic<bool> over{false};
inline std::atomic<std::uint64_t> done{0};

struct job {
  chan<int> reply;
  std::function<void()> then;
  std::unique_ptr<job> inner;
};
// What OS threads work on: the only handle of a goroutine's reply may lie here for a while.
struct post {
  std::mutex lock;
  std::deque<std::unique_ptr<job>> jobs;
  void put(std::unique_ptr<job> j) {
    std::lock_guard hold(lock);
    jobs.push_back(std::move(j));
  }
  std::unique_ptr<job> take() {
    std::lock_guard hold(lock);
    if (jobs.empty()) return nullptr;
    auto j = std::move(jobs.front());
    jobs.pop_front();
    return j;
  }
};
inline post the_post;

// Asks a thread by a reply channel that is found in heap blocks only.
inline void ask_a_thread(unsigned depth) {
  auto j = std::make_unique<job>();
  auto reply = make_chan<int>(depth % 2);
  auto* last = j.get();
  for (unsigned i = 0; i < depth; i++) {
    last->inner = std::make_unique<job>();
    last = last->inner.get();
  }
  if (depth % 3 == 0) {
    last->then = [reply] { reply.send(1); };
  } else {
    last->reply = reply;
  }
  the_post.put(std::move(j));
  reply.recv();
}
inline void work_on_posts(unsigned seed) {
  dice d(seed);
  while (true) {
    auto j = the_post.take();
    if (j == nullptr) {
      if (over) return;
      std::this_thread::yield();
      continue;
    }
    while (j->inner != nullptr) j = std::move(j->inner);
    if (d.below(4) == 0) std::this_thread::yield();
    if (j->then) {
      j->then();
    } else {
      j->reply.send(1);
    }
  }
}

// Keeps lists, vectors and maps of many sizes in motion.
inline void churn_memory(unsigned seed) {
  dice d(seed);
  std::list<std::vector<void*>> kept;
  std::map<unsigned, std::unique_ptr<char[]>> blocks;
  while (!over) {
    unsigned size = 1u << d.below(d.below(64) == 0 ? 18 : 11);
    blocks[d.below(200)] = std::make_unique<char[]>(size);
    kept.emplace_back(d.below(30), blocks.begin()->second.get());
    if (kept.size() > 100) kept.erase(kept.begin(), std::next(kept.begin(), 50));
  }
}

// A handle travels through a channel of channels and a container before somebody answers.
inline void ask_through_channels(const chan<chan<int>>& desk) {
  auto reply = make_chan<int>();
  desk.send(reply);
  reply.recv();
}
inline void serve_desk(const chan<chan<int>>& desk, unsigned seed) {
  dice d(seed);
  std::vector<chan<int>> waiting;
  while (std::optional<chan<int>> reply = desk.recv()) {
    waiting.push_back(std::move(*reply));
    if (waiting.size() < 3 && d.below(3) != 0 && desk.len() != 0) continue;
    std::shuffle(waiting.begin(), waiting.end(), d.random);
    for (chan<int>& r : waiting) r.send(1);
    waiting.clear();
  }
  for (chan<int>& r : waiting) r.send(1);
}

struct account {
  stray::mutex lock;
  stray::condition_variable changed;
  stray::shared_mutex rates;
  stray::semaphore slots{2};
  int balance = 0;
};
inline void meet_at_an_account(unsigned seed) {
  dice d(seed);
  auto a = std::make_shared<account>();
  stray::wait_group both;
  both.go([a] {
    std::unique_lock hold(a->lock);
    a->changed.wait(hold, [&] { return a->balance > 0; });
  });
  both.go([a] {
    std::shared_lock read(a->rates);
    stray::yield();
  });
  both.go([a, n = d.below(3)] {
    for (unsigned i = 0; i < n; i++) stray::yield();
    std::lock_guard write(a->rates);
    a->slots.acquire();
    {
      std::lock_guard hold(a->lock);
      a->balance++;
    }
    a->changed.notify_all();
    a->slots.release();
  });
  both.wait();
}

inline void wait_for_time(unsigned seed) {
  dice d(seed);
  auto ctx = stray::with_timeout(stray::background(), std::chrono::microseconds(d.below(3000)));
  auto ch = make_chan<int>();
  if (d.below(2) == 0) stray::after_func(std::chrono::microseconds(d.below(2000)), [ch] { ch.try_send(1); });
  stray::select(stray::on_recv(ch), stray::on_recv(ctx.ctx.done()), stray::on_recv(stray::after(2ms)));
  ctx.ctx.done().recv();
}

inline void parent_of_a_child_that_points_into_it() {
  auto ch = make_chan<int>();
  stray::go([&ch] {
    for (int i = 0; i < 3; i++) stray::yield();
    ch.send(1);
  });
  ch.recv();
}

inline void drive(const chan<chan<int>>& desk, unsigned seed) {
  dice d(seed);
  while (!over) {
    stray::wait_group some;
    for (unsigned n = d.below(6) + 1; n > 0; n--) {
      unsigned s = d.below(1u << 20);
      switch (d.below(5)) {
        case 0:
          some.go([s] { ask_a_thread(s % 5); });
          break;
        case 1:
          some.go([desk] { ask_through_channels(desk); });
          break;
        case 2:
          some.go([s] { meet_at_an_account(s); });
          break;
        case 3:
          some.go([s] { wait_for_time(s); });
          break;
        default:
          some.go(parent_of_a_child_that_points_into_it);
      }
    }
    if (d.below(8) == 0) {
      if (doomed_now().size() < may_plant) plant(d.below(10));
    }
    some.wait();
    done++;
  }
}

// Moves from construction until stop(): what still waits then waits for ever.
class motion {
 public:
  struct size {
    unsigned memory_threads = 8, post_threads = 2, drivers = 6;
  };
  motion(unsigned seed, size n) {
    static const bool left = [] {
      for (stray::mutex& m : abandoned) stray::go([&m] { m.lock(); });
      return true;
    }();
    static_cast<void>(left);
    while (stray::num_goroutine() != doomed_now().size()) std::this_thread::yield();
    over = false;
    for (unsigned i = 0; i < n.memory_threads; i++) threads_.emplace_back(churn_memory, seed + i);
    for (unsigned i = 0; i < n.post_threads; i++) threads_.emplace_back(work_on_posts, seed + 10 + i);
    for (unsigned i = 0; i < 2; i++) desks_.go([desk = desk_, s = seed + 20 + i] { serve_desk(desk, s); });
    for (unsigned i = 0; i < n.drivers; i++) drivers_.go([desk = desk_, s = seed + 30 + i] { drive(desk, s); });
  }
  void stop() {
    over = true;
    drivers_.wait();
    desk_.close();
    desks_.wait();
    for (std::thread& one : threads_) one.join();
    desk_ = {};
    while (stray::num_goroutine() != doomed_now().size()) std::this_thread::yield();
    stray::testing::until_parked(doomed_now().size());
  }

 private:
  std::vector<std::thread> threads_;
  chan<chan<int>> desk_ = make_chan<chan<int>>(4);
  stray::wait_group desks_, drivers_;
};

}  // namespace motion_test
