// The fixture of the tests that hide one pointer: is a block that only this pointer holds found, and not when a source is switched off?
//
// The target's address exists only complemented, in memory shared with the child (hidden from the roots); it is planted by a few
// instructions that leave no copy behind. The caller of a snapshot is not scanned.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <gtest/gtest.h>
#include <thread>

#include "trace/test_support.h"

namespace stray::trace::test {

struct secret {
  std::uintptr_t complement;
  bool marked, marked_ambiguous, pushed;
  std::size_t after_calls;
  std::atomic<int> gate;  // 1: the child waits for 3 before it marks, and says so by 2
};

inline std::atomic<int> phase{0};  // 1: planted, 2: let go
inline secret* the_secret;         // shared with the child, hidden from the roots

// *slot = target, without a copy in any register.
#define PLANT(slot)                                                                                                         \
  asm volatile(                                                                                                             \
      "mov (%[c]), %%rax; not %%rax; mov %%rax, (%[s]); xor %%eax, %%eax" ::[c] "r"(&the_secret->complement), [s] "r"(slot) \
      : "rax", "memory")

// Target in rbx, then what `load_and_scrub` makes of it, until the phase is 2.
#define HOLD_IN(load_and_scrub, clear, ...)                                                                        \
  asm volatile("mov (%[c]), %%rbx; not %%rbx;" load_and_scrub "movl $1, (%[p]); 1: cmpl $2, (%[p]); jne 1b;" clear \
               "xor %%ebx, %%ebx"                                                                                  \
               :                                                                                                   \
               : [c] "r"(&the_secret->complement), [p] "r"(&phase)                                                 \
               : "rbx", "memory", "cc" __VA_OPT__(, ) __VA_ARGS__)

[[gnu::noinline]] inline void spin() {  // not inlined: what is planted must not lie in the red zone of a leaf
  phase.store(1);
  while (phase.load() != 2) __builtin_ia32_pause();
}
[[gnu::noinline]] inline void scrub() {
  volatile char room[8192];
  for (auto& c : room) c = 0;
  asm volatile(
      "xor %%eax,%%eax; xor %%ecx,%%ecx; xor %%edx,%%edx; xor %%esi,%%esi; xor %%edi,%%edi; xor %%r8d,%%r8d;"
      "xor %%r9d,%%r9d; xor %%r10d,%%r10d; xor %%r11d,%%r11d; pxor %%xmm0,%%xmm0; pxor %%xmm1,%%xmm1"
      :
      :
      : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "memory");
}

struct roots_case : ::testing::Test {
  test::shared_with_child<secret> out;
  thread_role (*role)(int tid, std::uintptr_t sp) = [](int, std::uintptr_t) { return thread_role{}; };
  range interest{};
  snapshot_outcome last;

  void SetUp() override {
    ASSERT_TRUE(init_snapshot());
    the_secret = &*out;
    fresh_target();
    phase.store(0);
  }
  void TearDown() override { std::free(reinterpret_cast<void*>(~out->complement)); }
  [[gnu::noinline]] void fresh_target() { out->complement = ~reinterpret_cast<std::uintptr_t>(std::calloc(1, 48)); }

  bool found(unsigned off = 0) {
    out->marked = out->marked_ambiguous = out->pushed = false;
    out->after_calls = 0;
    snapshot_request request;
    request.who = test::blank_client();
    request.who.prepare = [](void* self, image& in) { give_roles(in, static_cast<roots_case*>(self)->role); };
    request.who.interest = interest;
    request.who.self = this;
    request.decide = [](void* arg, image& in) noexcept {
      auto& s = *static_cast<secret*>(arg);
      if (s.gate.load() == 1) {
        s.gate.store(2);
        while (s.gate.load() != 3) __builtin_ia32_pause();
      }
      marker m(in);
      m.mark_roots();
      s.marked = in.blocks.marked(~s.complement);
      struct box {
        secret* s;
        image* in;
      } b{&s, &in};
      m.mark_ambiguous(
          [](void* a, const word&) {
            auto& x = *static_cast<box*>(a);
            if (x.in->blocks.marked(~x.s->complement) && x.s->after_calls++ == 0) x.s->marked_ambiguous = true;
          },
          &b);
      for (const stopped_thread& t : in.threads) m.push_thread(t.tid);
      m.drain();
      s.pushed = in.blocks.marked(~s.complement);
      if (!in.blocks.in_use(~s.complement)) s.marked = false;
    };
    request.arg = &*out;
    request.hidden = out.hidden();
    request.off = off;
    for (;;) {  // on a loaded machine a thread may not get a processor in time: nothing is decided then
      snapshot_outcome outcome = last = take_snapshot(request);
      EXPECT_TRUE(outcome.ok) << outcome.why;
      bool late = outcome.unstopped != 0;
      for (std::uint32_t i = 0; i < outcome.notes->used; i++) late = late || contains(outcome.notes->notes[i].line, "20 ms");
      if (!outcome.ok || !late) break;
      out->marked = out->marked_ambiguous = false;
      out->after_calls = 0;
    }
    return out->marked;
  }
  // Runs `hide` in another thread; it must call spin() (or its like) with the pointer in place.
  template <class F, class G>
  void with_thread(F hide, G look) {
    std::thread holder([&] {
      scrub();
      hide();
    });
    while (phase.load() != 1) std::this_thread::yield();
    look();
    phase.store(2);
    holder.join();
  }
  // A thread that is still on its way out of our handler when the next snapshot begins is stopped there, by ptrace, and the registers that the
  // signal frame keeps lie in its frames then. So the second snapshot waits for it.
  static int threads_that_block_the_signal() {
    int n = 0;
    DIR* tasks = opendir("/proc/self/task");
    while (dirent* one = readdir(tasks)) {
      char path[64], line[256];
      std::snprintf(path, sizeof path, "/proc/self/task/%.16s/status", one->d_name);
      std::FILE* status = std::fopen(path, "r");
      if (status == nullptr) continue;
      while (std::fgets(line, sizeof line, status) != nullptr) {
        unsigned long long blocked = 0;
        if (std::sscanf(line, "SigBlk: %llx", &blocked) == 1) n += static_cast<int>(blocked >> (stop_signal() - 1) & 1);
      }
      std::fclose(status);
    }
    closedir(tasks);
    return n;
  }
  void expect_only_by(root what, unsigned also = 0) {
    const int before = threads_that_block_the_signal();
    EXPECT_TRUE(found());
    bool other = false;
    do {  // a snapshot that had to stop twice may have met it there by itself
      while (threads_that_block_the_signal() > before) std::this_thread::yield();
      other = found(bit(what) | also);
    } while (other && last.stops > 1);
    EXPECT_FALSE(other);
  }
};

}  // namespace stray::trace::test
