// Fibers whose stack is an array in a frame of the same thread or goroutine: what lies in the frames that they have left, below the stack
// pointer, makes the verdict likely, and it is named. And who has left nothing makes nobody likely, whatever lies below.
#include <chrono>
#include <cstring>
#include <poll.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>
#if STRAY_TEST_FCONTEXT
#include <boost/context/detail/fcontext.hpp>
#endif

#include "leak/detect/detector.h"
#include "scene.hpp"
#include "tests/stack_switch.hpp"

namespace {

using namespace ablation;
using namespace std::chrono_literals;

constexpr std::string_view said = "a word below the stack pointer of a stack whose frames cannot be followed";
constexpr std::size_t room = 24 << 10;

enum class by { makecontext, hand, fcontext, inlined };
enum class on { thread, goroutine };
enum class does { sleep, stray_sleep, compute, wait };

std::atomic<holder*> slot{nullptr};
std::atomic<int> phase{0};  // 1: on the fiber; 2: leave it
stray::chan<int> later;
does what;

[[gnu::noinline]] void on_the_fiber() {
  phase = 1;
  if (what == does::wait) later.recv();
  while (phase != 2) {
    if (what == does::sleep) usleep(500);
    if (what == does::stray_sleep) stray::sleep_for(1ms);
  }
}

ucontext_t native, fiber;
void by_makecontext(char* stack) {
  getcontext(&fiber);
  fiber.uc_stack.ss_sp = stack;
  fiber.uc_stack.ss_size = room;
  fiber.uc_link = nullptr;
  makecontext(
      &fiber,
      [] {
        on_the_fiber();
        setcontext(&native);
      },
      0);
  swapcontext(&native, &fiber);
}
void* saved[2];
void hand_main() {
  on_the_fiber();
  stack_switch(&saved[1], saved[0]);
}
void by_hand(char* stack) {
  auto** top = reinterpret_cast<void**>(stack + room) - 10;
  std::memset(top, 0, 80);
  top[6] = reinterpret_cast<void*>(&hand_main);
  stack_switch(&saved[0], top);
}
#if STRAY_TEST_FCONTEXT
void by_fcontext(char* stack) {
  using namespace boost::context::detail;
  jump_fcontext(make_fcontext(stack + room, room,
                              [](transfer_t t) {
                                on_the_fiber();
                                jump_fcontext(t.fctx, nullptr);
                              }),
                nullptr);
}
#else
void by_fcontext(char* stack) { by_hand(stack); }
#endif

// The holder's address lies in this frame only, and its array is the fiber's stack.
[[gnu::noinline]] void keep_and_enter(by how) {
  while (slot == nullptr) {
    if (what == does::stray_sleep) stray::yield();
  }
  holder* volatile kept;
  take_into(slot, kept);
  alignas(16) char stack[room];
  scrub();
  (how == by::makecontext ? by_makecontext : how == by::hand ? by_hand : by_fcontext)(stack);
  slot = kept;
}

// The switch is part of the function that has the array, and what it keeps lies below that.
[[gnu::noinline]] void keep_and_enter_inlined() {
  while (slot == nullptr) {
    if (what == does::stray_sleep) stray::yield();
  }
  struct {
    holder* volatile kept;
    alignas(64) char stack[room];
  } frame;
  take_into(slot, frame.kept);
  scrub();
  asm volatile("mov %%rsp, %%rbx; mov %0, %%rsp; call *%1; mov %%rbx, %%rsp"
               :
               : "r"(frame.stack + room), "r"(&on_the_fiber)
               : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc", "memory");
  slot = frame.kept;
}

using scene_of = std::tuple<by, on, does>;
class array_fiber : public ::testing::TestWithParam<scene_of> {};
TEST_P(array_fiber, makes_likely_of_who_waits_for_what_it_has_left) {
  const auto [how, where, doing] = GetParam();
  what = doing;
  phase = 0;
  slot = nullptr;
  later = stray::make_chan<int>();
  native = fiber = {};  // of the last scene: its stack may be the waiter's by now
  saved[0] = saved[1] = nullptr;
  std::thread t;
  const auto enter = [how = how] { how == by::inlined ? keep_and_enter_inlined() : keep_and_enter(how); };
  if (where == on::thread) t = std::thread(enter);
  if (where == on::goroutine) stray::go(enter);
  expect_likely(
      bit(root::left_frames) | (how == by::makecontext ? bit(root::saved_contexts) : 0),  // swapcontext has saved one
      [](holder* h) {
        slot = h;
        while (phase != 1) usleep(100);
        usleep(2000);
      },
      [] {
        phase = 2;
        later.close();
        while (slot == nullptr) usleep(100);
        return slot.exchange(nullptr);
      },
      said, where == on::goroutine && doing == does::wait ? 2 : 1);
  if (t.joinable()) t.join();
}
INSTANTIATE_TEST_SUITE_P(all, array_fiber,
                         ::testing::Combine(::testing::Values(by::makecontext, by::hand, by::fcontext, by::inlined),
                                            ::testing::Values(on::thread, on::goroutine),
                                            ::testing::Values(does::sleep, does::stray_sleep, does::compute, does::wait)));

// --- who has left nothing -------------------------------------------------------------------------------------------------------------

// Words in a frame that has returned, 12 KB below who calls this, which waits in less.
[[gnu::noinline]] void leave_deep(const std::atomic<holder*>& from) {
  holder* volatile many[200];
  for (auto volatile& m : many) m = from.load();
}
[[gnu::noinline]] void leave_below(const std::atomic<holder*>& from) {
  char gap[12 << 10];
  asm volatile("" : : "r"(gap) : "memory");
  leave_deep(from);
  asm volatile("" : : "r"(gap) : "memory");
}
[[gnu::noinline]] void scrub_a_little() {
  volatile char clean[8 << 10];
  for (auto volatile& c : clean) c = 0;
}
[[gnu::noinline]] void stale_and(const std::function<void()>& wait) {
  leave_below(slot);
  slot = nullptr;
  scrub_a_little();
  scrub_registers();
  phase = 1;
  wait();
}

class plain_frames : public ::testing::TestWithParam<on> {};
void expect_proven_beside(on where, const std::function<void()>& wait) {
  phase = 0;
  slot = nullptr;
  std::thread t;
  auto body = [&] {
    while (slot == nullptr) usleep(100);
    stale_and(wait);
  };
  if (where == on::thread) t = std::thread(body);
  if (where == on::goroutine) stray::go(body);
  std::uintptr_t masked = 0;
  start_owner([&](holder* h) {
    masked = ~reinterpret_cast<std::uintptr_t>(h);
    slot = h;
    while (phase != 1) usleep(100);
    usleep(2000);
  });
  auto found = stray::leak::detect();
  ASSERT_EQ(found->list.size(), 1u);
  EXPECT_EQ(found->list[0].tier, tier::proven) << found->list[0].place;
  phase = 2;
  reinterpret_cast<holder*>(~masked)->ch.close();
  if (t.joinable()) t.join();
  until_all_ended();
}
TEST_P(plain_frames, sleeper_leaves_nothing) {
  expect_proven_beside(GetParam(), [] {
    while (phase != 2) usleep(1000);
  });
}
TEST_P(plain_frames, who_polls_leaves_nothing) {
  expect_proven_beside(GetParam(), [] {
    while (phase != 2) poll(nullptr, 0, 1);
  });
}
TEST_P(plain_frames, who_sleeps_in_the_runtime_leaves_nothing) {
  expect_proven_beside(GetParam(), [] {
    while (phase != 2) stray::sleep_for(1ms);
  });
}
TEST_P(plain_frames, who_computes_leaves_nothing) {
  expect_proven_beside(GetParam(), [] {
    while (phase != 2) {
    }
  });
}
INSTANTIATE_TEST_SUITE_P(all, plain_frames, ::testing::Values(on::thread, on::goroutine));

}  // namespace
