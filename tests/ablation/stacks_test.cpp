// Stacks of the program's own making (fibers) and signal handlers: whoever stands there, and whatever it does meanwhile, what it holds is live.
// Each scene ends with the wake that only the hidden pointer makes possible.
#include <csignal>
#include <cstring>
#include <pthread.h>
#include <sys/mman.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>

#include "leak/detect/detector.h"
#include "scene.hpp"

namespace {

using namespace ablation;
using namespace std::chrono_literals;

enum class where { heap, mapping, shared, other_stack };

// A fiber: its function runs on a stack of its own until it calls leave().
class fiber {
 public:
  fiber(where w, std::function<void(fiber&)> f) : where_(w), f_(std::move(f)) {
    stack_ = w == where::heap ? std::malloc(size)
                              : mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                     (w == where::shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_;
    inside_.uc_stack.ss_size = size;
    inside_.uc_link = nullptr;
    auto self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&inside_, reinterpret_cast<void (*)()>(&fiber::run), 2, static_cast<unsigned>(self),
                static_cast<unsigned>(self >> 32));
  }
  ~fiber() {
    if (where_ == where::heap) std::free(stack_);
    if (where_ != where::heap) munmap(stack_, size);
  }
  void enter() { swapcontext(&outside_, &inside_); }
  void leave() { swapcontext(&inside_, &outside_); }

 private:
  static constexpr std::size_t size = 128 << 10;
  static void run(unsigned lo, unsigned hi) {
    auto* self = reinterpret_cast<fiber*>(static_cast<std::uintptr_t>(hi) << 32 | lo);
    self->f_(*self);
    self->leave();
  }
  where where_;
  void* stack_;
  ucontext_t inside_, outside_;
  std::function<void(fiber&)> f_;
};

void end_leaks() {
  stray::leak::reclaim(stray::leak::find());
  until_all_ended();
}

std::atomic<int> woken{0};

// The sender's channel is known by a word in the frame of a fiber only.
[[gnu::noinline]] void wait_for_a_helper(fiber&, const std::function<void()>& first) {
  auto c = stray::make_chan<int>();
  stray::go([&c] {
    c.send(42);
    woken++;
  });
  first();
  c.recv();
}

class on_a_fiber : public ::testing::TestWithParam<where> {
 protected:
  void SetUp() override { woken = 0; }
  void expect_silence(const std::function<void()>& first) {
    stray::go([&] {
      fiber f(GetParam(), [&](fiber& self) { wait_for_a_helper(self, first); });
      f.enter();
    });
    std::this_thread::sleep_for(30ms);
    for (int i = 0; i < 5; i++) EXPECT_EQ(verdict(), std::nullopt);
    until_all_ended();
    EXPECT_EQ(woken, 1);
  }
};
TEST_P(on_a_fiber, that_sleeps) {
  expect_silence([] { stray::sleep_for(300ms); });
}
TEST_P(on_a_fiber, that_yields) {
  expect_silence([] {
    for (auto end = std::chrono::steady_clock::now() + 300ms; std::chrono::steady_clock::now() < end;) stray::yield();
  });
}
TEST_P(on_a_fiber, that_computes) {
  expect_silence([] {
    for (auto end = std::chrono::steady_clock::now() + 300ms; std::chrono::steady_clock::now() < end;) {
    }
  });
}
TEST_P(on_a_fiber, that_asks) {
  std::optional<std::size_t> most;
  expect_silence([&] {
    for (auto end = std::chrono::steady_clock::now() + 300ms; std::chrono::steady_clock::now() < end;)
      most = std::max(most.value_or(0), stray::leak::find().total());
  });
  EXPECT_EQ(most, 0u);
}
TEST_P(on_a_fiber, that_waits_for_what_somebody_will_send) {
  static stray::chan<int> later;
  later = stray::make_chan<int>();
  std::thread waker([] {
    std::this_thread::sleep_for(300ms);
    later.send(1);
  });
  expect_silence([] { later.recv(); });
  waker.join();
  later = {};
}
INSTANTIATE_TEST_SUITE_P(all, on_a_fiber, ::testing::Values(where::heap, where::mapping, where::shared));

// What a goroutine has left on its own stack while it stands in the thread-local storage of its worker.
thread_local constinit char in_the_worker[24 << 10]{};
std::atomic<holder*> left{nullptr};
std::atomic<int> stage{0};  // 1: on the array; 2: leave it
[[gnu::noinline]] void until_told() {
  stage = 1;
  while (stage != 2) {
  }
}
[[gnu::noinline]] void leave_for_the_worker() {
  while (left == nullptr) stray::yield();
  holder* volatile kept;
  take_into(left, kept);
  scrub();
  asm volatile("mov %%rsp, %%rbx; mov %0, %%rsp; and $-64, %%rsp; call *%1; mov %%rbx, %%rsp"
               :
               : "r"(in_the_worker + sizeof in_the_worker), "r"(&until_told)
               : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc", "memory");
  left = kept;
}
TEST(fibers, on_an_array_in_the_workers_thread_local_storage) {
  stage = 0;
  stray::go(leave_for_the_worker);
  start_owner([](holder* h) {
    left = h;
    while (stage != 1) usleep(100);
  });
  EXPECT_EQ(verdict(), std::nullopt);
  stage = 2;
  while (left == nullptr) usleep(100);
  left.exchange(nullptr)->ch.close();
  until_all_ended();
}

// Whoever waits on a fiber is found when nobody can wake it: a handle there is counted once.
TEST(fibers, a_leak_beside_a_handle_on_a_threads_fiber) {
  stray::recv_chan<int> rx;
  {
    auto c = stray::make_chan<int>();
    rx = c;
    stray::go([r = stray::recv_chan<int>(c)] { r.recv(); });
  }
  std::atomic<int> phase{0};
  std::thread t([&] {
    fiber f(where::heap, [&](fiber&) {
      stray::recv_chan<int> mine = std::move(rx);
      phase = 1;
      while (phase != 2) usleep(1000);
    });
    f.enter();
  });
  while (phase != 1) std::this_thread::yield();
  clear_dead_stack();
  EXPECT_EQ(verdict(), tier::proven);
  phase = 2;
  t.join();
  end_leaks();
}

// --- signal handlers ------------------------------------------------------------------------------------------------------------------

std::atomic<holder*> slot{nullptr};
std::atomic<int> phase{0};

void take_and_hold(int) {  // in registers of its own
  holder* h = slot.exchange(nullptr);
  phase = 1;
  while (phase != 2) {
  }
  slot = h;
}
void install(int flags) {
  struct sigaction a {};
  a.sa_handler = take_and_hold;
  a.sa_flags = flags;
  sigaction(SIGUSR1, &a, nullptr);
  phase = 0;
}
// A waiter that owns the block; its address lies in `slot`.
void start_waiter() {
  stray::go([] {
    auto own = std::make_unique<holder>(holder{stray::make_chan<int>()});
    slot = own.get();
    own->ch.recv();
  });
  stray::testing::until_parked(1);
}
// Asks while the handler runs on it.
void interrupt_and_ask(std::thread& t) {
  pthread_kill(t.native_handle(), SIGUSR1);
  while (phase != 1) std::this_thread::yield();
  for (int i = 0; i < 5; i++) EXPECT_EQ(verdict(), std::nullopt);
}
void finish() {
  phase = 2;
  while (slot == nullptr) std::this_thread::yield();
  slot.exchange(nullptr)->ch.close();
}

class handlers : public ::testing::TestWithParam<int> {};  // flags
TEST_P(handlers, on_a_thread_that_waits_in_a_primitive) {
  install(GetParam());
  start_waiter();
  stray::latch over(1);
  std::thread t([&] { over.wait(); });
  std::this_thread::sleep_for(10ms);
  interrupt_and_ask(t);
  finish();
  over.count_down();
  t.join();
  until_all_ended();
}
TEST_P(handlers, on_a_thread_that_sleeps) {
  install(GetParam());
  start_waiter();
  std::thread t([] { stray::sleep_for(200ms); });
  std::this_thread::sleep_for(10ms);
  interrupt_and_ask(t);
  finish();
  t.join();
  until_all_ended();
}
TEST_P(handlers, on_a_thread_that_sleeps_in_a_system_call) {
  install(GetParam());
  start_waiter();
  std::thread t([] { usleep(200'000); });
  std::this_thread::sleep_for(10ms);
  interrupt_and_ask(t);
  finish();
  t.join();
  until_all_ended();
}
TEST_P(handlers, on_a_thread_that_asks) {
  install(GetParam());
  start_waiter();
  std::thread asker([] {
    for (int i = 0; i < 200 && phase != 2; i++) EXPECT_EQ(stray::leak::find().total(), 0u);
  });
  std::this_thread::sleep_for(5ms);
  interrupt_and_ask(asker);
  finish();
  asker.join();
  until_all_ended();
}
TEST_P(handlers, on_a_goroutines_thread) {
  install(GetParam());
  start_waiter();
  stray::go([] {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &s, nullptr);
    raise(SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &s, nullptr);
  });
  while (phase != 1) std::this_thread::yield();
  for (int i = 0; i < 5; i++) {
    auto found = stray::leak::detect();
    EXPECT_TRUE(found->complete) << (found->notes.empty() ? "" : found->notes.back());
    EXPECT_TRUE(found->list.empty());
  }
  finish();
  until_all_ended();
}

// The alternate stack is an array in a frame; the pointer lies in a frame that the handler has interrupted, below it.
[[gnu::noinline]] void keep_below(std::atomic<bool>& ready) {
  holder* volatile kept = slot.exchange(nullptr);
  clear_dead_stack();
  ready = true;
  while (phase != 2) usleep(1000);
  slot = kept;
}
TEST_P(handlers, on_an_array_of_its_own_thread) {
  install(GetParam() | SA_ONSTACK);
  std::atomic<bool> start{false}, ready{false};
  std::thread t([&] {  // begun first: a thread begins with registers of who starts it
    while (!start) std::this_thread::yield();
    alignas(16) char room[32768];
    stack_t alternate{};
    alternate.ss_sp = room;
    alternate.ss_size = sizeof room;
    sigaltstack(&alternate, nullptr);
    keep_below(ready);
    alternate.ss_flags = SS_DISABLE;
    sigaltstack(&alternate, nullptr);
  });
  start_waiter();
  start = true;
  while (!ready) std::this_thread::yield();
  clear_dead_stack();
  interrupt_and_ask(t);
  phase = 2;
  t.join();  // the handler had nothing, and has stored that; what was kept comes after
  slot.exchange(nullptr)->ch.close();
  until_all_ended();
}

INSTANTIATE_TEST_SUITE_P(all, handlers, ::testing::Values(0, SA_SIGINFO, SA_ONSTACK, SA_ONSTACK | SA_SIGINFO | SA_RESTART));

// The stop signal's own frames lie in unused room of every stack: they make nobody a running thread.
TEST(handlers_of_ours, leave_nothing_behind) {
  for (int i = 0; i < 3; i++) EXPECT_EQ(verdict(), std::nullopt);
  std::atomic<int> step{0};
  std::thread t([&] {
    char deep[16384];  // nothing is written to it: what lies there is old
    asm volatile("" : : "r"(deep) : "memory");
    step = 1;
    while (step != 2) usleep(100);
  });
  while (step != 1) std::this_thread::yield();
  set_scene([](holder* h) { h->ch = {}; });
  stray::testing::until_parked(1);
  clear_dead_stack();
  for (int i = 0; i < 5; i++) EXPECT_EQ(verdict(), tier::proven);
  step = 2;
  t.join();
  end_leaks();
}

}  // namespace
