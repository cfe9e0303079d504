// A verdict outlives the snapshot that made it, and so do reports: none of them may mean another goroutine on the same record, or another wait.
//
// Here the records of reclaimed goroutines are given to healthy ones, whose first wait looks like the old one's: the same place, the same
// number of waits. Their handles lie in the frame of a thread that computes, where a look does not see them (look_first.h).
#include "leak/reclaim/reclaim_case.h"

#include <cstdlib>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <stray/testing/control.hpp>

namespace {

using namespace stray::leak::test;
namespace rt = stray::runtime;

rt::task* record_of(std::uint64_t id) {
  auto& all = rt::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    auto state = all.at(i)->current_state();
    if (all.at(i)->id == id && state != rt::state::free && state != rt::state::dead) return all.at(i);
  }
  return nullptr;
}

std::set<std::uint64_t> ids_of(const report& r) {
  std::set<std::uint64_t> ids;
  for (const stray::leak::group& g : r.groups()) {
    for (const stray::leak::goroutine& one : g.goroutines) ids.insert(one.id);
  }
  return ids;
}

// From a goroutine, so that the records are those of its worker's own list.
template <class F>
void on_a_goroutine(F f) {
  stray::wait_group done;
  done.go(f);
  done.wait();
}

std::uint64_t start_receiver(stray::recv_chan<int> ch, std::atomic<int>& unwound) {
  return start([ch, &unwound] {
    struct on_the_way_out {
      std::atomic<int>* unwound;
      ~on_the_way_out() { *unwound += std::uncaught_exceptions(); }
    } guard{&unwound};
    ch.recv();
  });
}

// A thread that computes, with the only sending handles in its frame.
class owner {
 public:
  explicit owner(std::size_t n) : thread_([this, n] { compute(n); }) {
    while (!ready_) std::this_thread::yield();
  }
  // Whether all of them were there to receive.
  bool send_to_all() {
    go_on_ = true;
    thread_.join();
    return sent_;
  }
  std::set<std::uint64_t> ids;
  std::atomic<int> unwound{0};

 private:
  [[gnu::noinline]] void compute(std::size_t n) {
    std::vector<stray::chan<int>> handles(n);
    on_a_goroutine([&] {
      for (stray::chan<int>& h : handles) {
        h = stray::make_chan<int>();
        ids.insert(start_receiver(h, unwound));
      }
    });
    for (std::uint64_t id : ids) {
      while (record_of(id)->current_state() != rt::state::waiting) std::this_thread::yield();
    }
    stray::chan<int> here = std::move(handles[0]);  // not in a block
    ready_ = true;
    while (!go_on_) asm volatile("" : : "r"(&here) : "memory");
    handles[0] = std::move(here);
    for (stray::chan<int>& h : handles) sent_ = h.try_send(1) && sent_;
  }
  std::atomic<bool> ready_{false}, go_on_{false};
  bool sent_ = true;
  std::thread thread_;
};

[[gnu::noinline]] void leak(std::size_t n) {
  on_a_goroutine([n] {
    for (std::size_t i = 0; i < n; i++) {
      auto ch = stray::make_chan<int>();
      stray::go([ch] { ch.recv(); });
    }
  });
}

report until_total(std::size_t n) {
  for (;;) {
    report r = stray::leak::find();
    if (r.total() >= n) return r;
    stray::yield();
  }
}

// On a busy machine a second detection may run out of its time, and decide nothing: then nobody is reclaimed, and it is asked again.
void reclaim_all(const report& r) {
  for (std::size_t n = 0; n < r.total();) n += stray::leak::reclaim(r, {.wait = 1min}).count(reclaim_outcome::reclaimed);
}

void all_over() {
  while (stray::num_goroutine() != 0) std::this_thread::yield();
}

double seconds(double usual) { return std::getenv("STRAY_TEST_LONG") != nullptr ? 60 : usual; }

TEST(identity, a_record_counts_its_waits_on) {
  auto ch = stray::make_chan<int>();
  std::set<std::pair<rt::task*, std::uint64_t>> seen;
  rt::task* before = nullptr;
  stray::wait_id old;
  for (int i = 0, again = 0; again < 100; i++) {
    std::uint64_t id = start([rx = stray::recv_chan<int>(ch)] { rx.recv(); });
    rt::task* t = record_of(id);
    while (t->current_state() != rt::state::waiting) std::this_thread::yield();
    stray::wait_id now = t->wait(t->word.load());
    EXPECT_EQ(now.task, id);
    EXPECT_TRUE(seen.insert({t, now.seq}).second) << "wait " << now.seq << " was another one's";
    if (t == before) {
      again++;
      EXPECT_FALSE(rt::begin_inspection(t, old));
      EXPECT_FALSE(rt::begin_inspection(t, stray::wait_id(old.task, now.seq)));
      EXPECT_FALSE(rt::await_inspection(t, old));
      std::uint64_t wrong = rt::wrong_verdicts();
      rt::mark_listed(t, old);
      EXPECT_EQ(rt::wrong_verdicts(), wrong + 1) << "who was called leaked has gone";
      EXPECT_EQ(t->word.load() & rt::word::listed, 0u);
    }
    EXPECT_TRUE(rt::begin_inspection(t, now));
    rt::end_inspection(t);
    before = t;
    old = now;
    ch.send(1);
    until_gone(id);
  }
}

TEST(identity, who_gets_the_record_of_a_reclaimed_one_is_not_leaked) {
  for (int round = 0; round < 60; round++) {
    leak(20);
    reclaim_all(until_total(20));
    owner healthy(1 + static_cast<std::size_t>(round) % 20);
    report r = stray::leak::find();
    for (std::uint64_t id : ids_of(r)) EXPECT_EQ(healthy.ids.count(id), 0u) << r;
    if (round % 2 == 0) stray::leak::reclaim(r);
    EXPECT_TRUE(healthy.send_to_all());
    EXPECT_EQ(healthy.unwound.load(), 0);
    all_over();
  }
}

TEST(identity, a_report_means_nobody_else_when_its_goroutines_are_gone) {
  std::size_t again = 0;
  for (int round = 0; round < 20; round++) {
    leak(20);
    report kept = until_total(20);
    std::set<rt::task*> records;
    for (std::uint64_t id : ids_of(kept)) records.insert(record_of(id));
    reclaim_all(kept);
    owner healthy(20);
    for (std::uint64_t id : healthy.ids) again += records.count(record_of(id));
    reclaim_report r = stray::leak::reclaim(kept);
    EXPECT_EQ(r.count(reclaim_outcome::refused), 20u) << r;
    EXPECT_TRUE(healthy.send_to_all());
    EXPECT_EQ(healthy.unwound.load(), 0);
    all_over();
  }
  EXPECT_GT(again, 0u) << "no record was used again: this test proves nothing";
}

// All healthy ones' handles lie in a global.
std::mutex lock;
std::deque<stray::chan<int>> handles;

void come_and_go(const std::atomic<bool>& stop, std::atomic<int>& unwound, std::atomic<long>& healthy) {
  for (unsigned n = 0; !stop; n++) {
    if (n % 8 == 0) {
      auto leaked = stray::make_chan<int>();
      stray::go([leaked] { leaked.recv(); });
    }
    auto ch = stray::make_chan<int>();
    stray::chan<int> old;
    {
      std::lock_guard held(lock);
      handles.push_back(ch);
      if (handles.size() > 1500) {
        old = handles.front();
        handles.pop_front();
      }
    }
    healthy++;
    stray::go([rx = stray::recv_chan<int>(ch), &unwound] {
      struct on_the_way_out {
        std::atomic<int>* unwound;
        ~on_the_way_out() { *unwound += std::uncaught_exceptions(); }
      } guard{&unwound};
      rx.recv();
    });
    if (old) old.try_send(1);
    stray::sleep_for(50us);
  }
}

void reclaimers_unwind_no_healthy_one(int count) {
  std::atomic<bool> stop{false};
  std::atomic<int> unwound{0};
  std::atomic<long> healthy{0};
  std::atomic<std::size_t> reclaimed{0};
  stray::wait_group makers;
  for (int i = 0; i < 2; i++) makers.go([&] { come_and_go(stop, unwound, healthy); });
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds(2));
  std::vector<std::thread> all;
  for (int i = 0; i < count; i++) {
    all.emplace_back([&] {
      while (unwound == 0 && std::chrono::steady_clock::now() < end)
        reclaimed += stray::leak::reclaim(stray::leak::find()).count(reclaim_outcome::reclaimed);
    });
  }
  for (std::thread& t : all) t.join();
  stop = true;
  makers.wait();
  EXPECT_EQ(unwound.load(), 0) << "of " << healthy << " healthy ones, beside " << reclaimed << " reclaimed";
  EXPECT_GT(reclaimed.load(), 0u);
  for (stray::chan<int>& ch : handles) ch.close();
  handles.clear();
  while (stray::leak::find().total() != 0) stray::leak::reclaim(stray::leak::find());
  all_over();
}

TEST(identity, two_reclaimers_unwind_no_healthy_one) { reclaimers_unwind_no_healthy_one(2); }
TEST(identity, four_reclaimers_unwind_no_healthy_one) { reclaimers_unwind_no_healthy_one(4); }
TEST(identity, eight_reclaimers_unwind_no_healthy_one) { reclaimers_unwind_no_healthy_one(8); }

}  // namespace
