// Others' threads are disturbed only when somebody may have leaked who was not proven before; and looking alone neither misses nor invents.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <memory>
#include <optional>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "base/syscalls.h"
#include "leak/detect/detector.h"
#include "leak/model/findings.h"
#include "trace/ptrace_stop.h"
#include "trace/task_list.h"

namespace {

using stray::leak::findings;
using stray::leak::tier;

void wait_asleep(const std::atomic<int>& tid) {
  while (tid.load() == 0) std::this_thread::yield();
  for (stray::trace::task_sleep now; !stray::trace::look_at_sleep(tid.load(), now) || !now.asleep;) std::this_thread::yield();
}

// What others do meanwhile: a poll and a nanosleep, each of which says whether it came back too early.
class bystanders {
 public:
  bystanders() {
    wait_asleep(poller_);
    wait_asleep(napper_);
  }
  ~bystanders() {
    std::uint64_t one = 1;
    if (write(event_, &one, sizeof one) != sizeof one) std::abort();
    poll_.join();
    pthread_kill(nap_.native_handle(), SIGUSR2);
    nap_.join();
    close(event_);
  }
  bool disturbed() const { return back_.load() != 0; }

 private:
  int event_ = eventfd(0, EFD_CLOEXEC);
  std::atomic<int> poller_{0}, napper_{0}, back_{0};
  std::thread poll_{[this] {
    poller_.store(stray::base::sys::gettid());
    pollfd one{event_, POLLIN, 0};
    if (poll(&one, 1, -1) != 1) back_.fetch_add(1);
  }};
  std::thread nap_{[this] {
    struct sigaction end {};
    end.sa_handler = [](int) {};
    sigaction(SIGUSR2, &end, nullptr);
    napper_.store(stray::base::sys::gettid());
    timespec hour{3600, 0};
    if (nanosleep(&hour, nullptr) != 0) back_.fetch_add(1);
  }};
};

struct holder {  // a heap block that owns the only sending handle
  stray::chan<int> ch;
};
holder* place;  // a global

[[gnu::noinline]] void clear_dead_stack() {
  volatile char room[16384];
  for (char volatile& c : room) c = 0;
}
[[gnu::noinline]] void start_waiter(stray::recv_chan<int> ch) {
  stray::go([ch] { ch.recv(); });
}
[[gnu::noinline]] holder* make_held() {
  auto* h = new holder{stray::make_chan<int>()};
  start_waiter(h->ch);
  return h;
}
[[gnu::noinline]] void leak_one() { start_waiter(stray::make_chan<int>()); }

std::optional<tier> best(const findings& f) {
  std::optional<tier> t;
  for (const stray::leak::finding& x : f.list) t = !t || x.tier > *t ? x.tier : *t;
  return t;
}

std::shared_ptr<const findings> look() {
  clear_dead_stack();
  return stray::leak::detect();
}

// A leak stays, so each test counts from what is there.
class look_first : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = stray::num_goroutine();
    look();  // what has leaked by now is known
  }
  void parked(std::size_t n) { stray::testing::until_parked(before_ + n); }
  void end(holder* h) {
    h->ch.close();
    delete h;
    while (stray::num_goroutine() > before_) stray::yield();
  }
  static std::size_t proven(const findings& f) {
    std::size_t n = 0;
    for (const stray::leak::finding& x : f.list) n += x.tier >= tier::cycle;
    return n;
  }
  // start(body) runs the body at once; its frame holds the only handle while it sleeps in a system call.
  template <class Start>
  void held_in_a_frame_is_seen(const Start& start) {
    int event = eventfd(0, EFD_CLOEXEC);
    std::atomic<int> tid{0};
    start([&] {
      auto ch = stray::make_chan<int>();
      start_waiter(ch);
      tid.store(stray::base::sys::gettid());
      std::uint64_t n = 0;
      if (read(event, &n, sizeof n) != sizeof n) std::abort();
      ch.close();
    });
    wait_asleep(tid);
    parked(1);
    auto f = look();
    EXPECT_EQ(f->stops, 0u);
    EXPECT_EQ(proven(*f), before_);
    std::uint64_t one = 1;
    ASSERT_EQ(write(event, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    while (stray::num_goroutine() > before_) stray::yield();
    close(event);
  }
  std::size_t before_ = 0;
};

TEST_F(look_first, a_healthy_process_is_not_disturbed) {
  bystanders others;
  place = make_held();
  parked(1);
  auto f = look();
  EXPECT_EQ(f->stops, 0u);
  EXPECT_GE(f->looks, 1u);
  EXPECT_TRUE(f->complete);
  EXPECT_EQ(proven(*f), before_);
  EXPECT_FALSE(others.disturbed());
  end(std::exchange(place, nullptr));
}

TEST_F(look_first, without_a_candidate_there_is_not_even_a_look) {
  if (before_ != 0) GTEST_SKIP() << "leaked ones of other tests are candidates";
  bystanders others;
  auto f = look();
  EXPECT_EQ(f->looks + f->stops, 0u);
  EXPECT_EQ(f->signals, 0u);
}

TEST_F(look_first, what_a_sleeping_thread_holds_in_its_frame_is_seen) {
  std::thread owner;
  held_in_a_frame_is_seen([&](auto body) { owner = std::thread(body); });
  owner.join();
}

TEST_F(look_first, a_leak_is_proven_once_with_a_stop_and_after_that_without) {
  const bool by_ptrace = stray::trace::allow_ptrace(false);
  bystanders others;
  leak_one();
  parked(1);
  auto first = look();
  EXPECT_EQ(first->stops, 1u);
  EXPECT_EQ(proven(*first), before_ + 1);
  EXPECT_TRUE(others.disturbed());  // else this test proves nothing
  stray::trace::allow_ptrace(by_ptrace);
  bystanders later;
  for (int i = 0; i < 3; i++) {
    auto again = look();
    EXPECT_EQ(again->stops, 0u);
    EXPECT_TRUE(again->complete);
    EXPECT_EQ(proven(*again), before_ + 1);
  }
  EXPECT_FALSE(later.disturbed());
}

TEST_F(look_first, without_threads_of_others_the_first_snapshot_proves) {
  leak_one();
  parked(1);
  auto f = look();
  EXPECT_EQ(f->looks, 1u);
  EXPECT_EQ(f->stops, 0u);
  EXPECT_EQ(best(*f), tier::proven);
  EXPECT_EQ(proven(*f), before_ + 1);
}

// A thread that computes, with `hold` in its frame.
template <class T>
class busy_owner {
 public:
  explicit busy_owner(T hold) : thread_([this, hold = std::move(hold)]() mutable { spin(std::move(hold)); }) {
    while (!runs_.load()) std::this_thread::yield();
  }
  ~busy_owner() {
    quit_.store(true);
    thread_.join();
  }

 private:
  [[gnu::noinline]] void spin(T hold) {
    runs_.store(true);
    while (!quit_.load()) asm volatile("" : : "r"(&hold) : "memory");
  }
  std::atomic<bool> runs_{false}, quit_{false};
  std::thread thread_;
};

// Its frames are unseen by a look, so everybody has to be stopped; then they are seen.
TEST_F(look_first, what_a_running_thread_holds_is_never_leaked) {
  auto ch = stray::make_chan<int>();
  start_waiter(ch);
  {
    busy_owner<stray::chan<int>> owner(std::move(ch));
    parked(1);
    for (int i = 0; i < 20; i++) EXPECT_EQ(proven(*look()), before_);
  }
  // Its end leaves nobody.
  EXPECT_EQ(proven(*look()), before_ + 1);
}

// A handle unseen makes the count wrong; that must not hide a leak which that handle cannot mend.
TEST_F(look_first, a_leak_is_found_although_a_running_thread_has_a_handle_that_cannot_wake_it) {
  stray::recv_chan<int> rx;
  {
    auto ch = stray::make_chan<int>();
    rx = ch;
    start_waiter(ch);
  }
  busy_owner<stray::recv_chan<int>> owner(std::move(rx));
  parked(1);
  auto f = look();
  EXPECT_EQ(proven(*f), before_ + 1);
  EXPECT_EQ(f->stops, 1u);
}

TEST_F(look_first, a_goroutine_in_a_system_call_is_not_disturbed) {
  int event = eventfd(0, EFD_CLOEXEC);
  std::atomic<int> tid{0}, result{0};
  place = make_held();
  parked(1);
  stray::go([&] {
    tid.store(stray::base::sys::gettid());
    pollfd one{event, POLLIN, 0};
    result.store(poll(&one, 1, -1) == 1 ? 1 : -errno);
  });
  wait_asleep(tid);
  for (int i = 0; i < 10; i++) {
    auto f = look();
    EXPECT_EQ(f->stops, 0u);
    EXPECT_EQ(proven(*f), before_);
  }
  EXPECT_EQ(result.load(), 0);
  std::uint64_t one = 1;
  ASSERT_EQ(write(event, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  while (result.load() == 0) stray::yield();
  EXPECT_EQ(result.load(), 1);
  close(event);
  end(std::exchange(place, nullptr));
}

// What only a goroutine in a system call holds.
TEST_F(look_first, the_frames_of_a_goroutine_in_a_system_call_are_seen) {
  held_in_a_frame_is_seen([](auto body) { stray::go(body); });
}

}  // namespace
