// Coroutines that share one stack: setjmp or getcontext has saved where one of them goes on, and its frames lie below the stack pointer of
// the one that runs now. What they hold makes the verdict likely. And a context that is over keeps nobody.
#undef _FORTIFY_SOURCE  // checks that longjmp goes up
#include <chrono>
#include <csetjmp>
#include <thread>
#include <ucontext.h>
#include <unistd.h>

#include "scene.hpp"

namespace {

using namespace ablation;
using namespace std::chrono_literals;

constexpr std::string_view said = "a word in a context that setjmp or getcontext has saved";

enum class by { setjmp, getcontext, builtin };
enum class on { thread, goroutine };
enum class does { sleep, stray_sleep, compute };

std::atomic<holder*> slot{nullptr};
std::atomic<int> phase{0};  // 1: the frames are left; 2: go back to them
does what;

struct saved {
  std::jmp_buf by_setjmp;
  ucontext_t by_getcontext;
  void* by_builtin[5];
};
saved outer, inner;
std::jmp_buf over;

// The holder's address lies in this frame only. It is left, and entered again.
[[gnu::noinline]] void hold_and_leave(by how) {
  holder* volatile kept;
  take_into(slot, kept);
  scrub();
  volatile bool back = false;
  if (how == by::setjmp) {
    if (_setjmp(inner.by_setjmp) == 0) _longjmp(outer.by_setjmp, 1);
  } else if (how == by::getcontext) {
    getcontext(&inner.by_getcontext);
    if (!back) {
      back = true;
      setcontext(&outer.by_getcontext);
    }
  } else {
    if (__builtin_setjmp(inner.by_builtin) == 0) __builtin_longjmp(outer.by_builtin, 1);
  }
  slot = kept;
  _longjmp(over, 1);
}
[[gnu::noinline]] void hold_deep(by how) {  // what runs meanwhile needs less
  char gap[12 << 10];
  asm volatile("" : : "r"(gap) : "memory");
  hold_and_leave(how);
  asm volatile("" : : "r"(gap) : "memory");
}
[[gnu::noinline]] void go_back(by how) {
  if (how == by::setjmp) _longjmp(inner.by_setjmp, 1);
  if (how == by::getcontext) setcontext(&inner.by_getcontext);
  __builtin_longjmp(inner.by_builtin, 1);
}
[[gnu::noinline]] void run_above() {
  phase = 1;
  while (phase != 2) {
    if (what == does::sleep) usleep(500);
    if (what == does::stray_sleep) stray::sleep_for(1ms);
  }
}
[[gnu::noinline]] void leave_frames(by how) {
  volatile bool back = false;
  if (how == by::setjmp) {
    if (_setjmp(outer.by_setjmp) == 0) hold_deep(how);
  } else if (how == by::getcontext) {
    getcontext(&outer.by_getcontext);
    if (!back) {
      back = true;
      hold_deep(how);
    }
  } else {
    if (__builtin_setjmp(outer.by_builtin) == 0) hold_deep(how);
  }
}
void share_a_stack(by how) {
  while (slot == nullptr) {
    if (what == does::stray_sleep) stray::yield();
  }
  if (_setjmp(over) != 0) return;
  leave_frames(how);
  run_above();
  go_back(how);
}

using scene_of = std::tuple<by, on, does>;
class shared_stack : public ::testing::TestWithParam<scene_of> {};
TEST_P(shared_stack, makes_likely_of_who_waits_for_what_goes_on) {
  const auto [how, where, doing] = GetParam();
  what = doing;
  phase = 0;
  slot = nullptr;
  outer = inner = {};
  std::thread t;
  if (where == on::thread) t = std::thread(share_a_stack, how);
  if (where == on::goroutine) stray::go([how = how] { share_a_stack(how); });
  expect_likely(
      root::saved_contexts,
      [](holder* h) {
        slot = h;
        while (phase != 1) usleep(100);
        usleep(2000);
      },
      [] {
        phase = 2;
        while (slot == nullptr) usleep(100);
        return slot.exchange(nullptr);
      },
      said);
  if (t.joinable()) t.join();
}
INSTANTIATE_TEST_SUITE_P(all, shared_stack,
                         ::testing::Combine(::testing::Values(by::setjmp, by::getcontext, by::builtin),
                                            ::testing::Values(on::thread, on::goroutine),
                                            ::testing::Values(does::sleep, does::stray_sleep, does::compute)));

// libc XORs rbp in a jmp_buf: the only pointer may lie there.
[[gnu::noinline]] int save_with_rbp(std::jmp_buf& where, std::uintptr_t word) {
  int again;
  asm volatile(
      "xor %%ebx, %%ebx; xor %%r12d, %%r12d; xor %%r13d, %%r13d; xor %%r14d, %%r14d; xor %%r15d, %%r15d;"
      "sub $128, %%rsp; push %%rbp; mov %[word], %%rbp; call _setjmp; pop %%rbp; add $128, %%rsp"
      : "=a"(again)
      : "D"(where), [word] "S"(word)
      : "rcx", "rdx", "r8", "r9", "r10", "r11", "rbx", "r12", "r13", "r14", "r15", "cc", "memory");
  return again;
}
TEST(saved_contexts, frame_pointer_is_seen) {
  outer = inner = {};
  expect_likely(
      root::saved_contexts,
      [](holder* h) {
        save_with_rbp(inner.by_setjmp, reinterpret_cast<std::uintptr_t>(h));
        handed = reinterpret_cast<std::uintptr_t>(h) ^ mask;
        scrub();
      },
      unmask, said);
}

// --- contexts that are no news ----------------------------------------------------------------------------------------------------------

// Whose stack pointer is above the one in force: its frames count anyhow.
TEST(saved_contexts, of_frames_that_run_leave_nothing) {
  outer = inner = {};
  if (_setjmp(inner.by_setjmp) != 0) return;
  getcontext(&inner.by_getcontext);
  expect_proven_of_own_block([](holder* h) { hand(h); }, unmask);
}

}  // namespace
