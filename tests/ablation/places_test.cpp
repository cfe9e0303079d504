// Each place where the only pointer may lie keeps a goroutine silent, and reports it when its source of roots is switched off: so each
// source is there for a reason, and each test can fail.
#include <csignal>
#include <sys/mman.h>
#include <thread>

#include "leak/detect/detector.h"
#include "scene.hpp"

namespace {

using namespace ablation;

// Not in .bss, whose last pages are an anonymous mapping: which variables lie there depends on the size of all others.
[[gnu::section(".data")]] holder* global_place = nullptr;
TEST(ablation, data) {
  expect_root(
      root::data, [](holder* h) { global_place = h; }, [] { return std::exchange(global_place, nullptr); });
}

template <int Protection>
void mapped(root source, int flags, int advice) {
  static holder** page;
  page = static_cast<holder**>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0));
  if (advice != 0) {
    ASSERT_EQ(madvise(page, 4096, advice), 0);
  }
  expect_root(
      source,
      [](holder* h) {
        page[7] = h;
        mprotect(page, 4096, Protection);
      },
      [] {
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
        return page[7];
      });
  munmap(page, 4096);
}
constexpr int read_write = PROT_READ | PROT_WRITE;
TEST(ablation, anonymous_mapping) { mapped<read_write>(root::anonymous, MAP_PRIVATE, 0); }
TEST(ablation, page_made_read_only) { mapped<PROT_READ>(root::anonymous, MAP_PRIVATE, 0); }
TEST(ablation, page_made_unreadable) { mapped<PROT_NONE>(root::anonymous, MAP_PRIVATE, 0); }
TEST(ablation, shared_mapping) { mapped<read_write>(root::shared, MAP_SHARED, 0); }
TEST(ablation, dontfork) { mapped<read_write>(root::dontfork, MAP_PRIVATE, MADV_DONTFORK); }
TEST(ablation, wipeonfork) { mapped<read_write>(root::wipeonfork, MAP_PRIVATE, MADV_WIPEONFORK); }

// A thread that does what it is told, and then spins or sleeps.
struct helper_thread {
  std::atomic<int> phase{0};
  std::thread thread;
  explicit helper_thread(void (*body)(helper_thread&)) : thread([this, body] { body(*this); }) {}
  ~helper_thread() { thread.join(); }
  void until(int n) {
    while (phase.load() != n) std::this_thread::yield();
  }
};
void in_thread(unsigned off, void (*body)(helper_thread&)) {
  std::optional<helper_thread> t;
  expect_root(
      off,
      [&](holder* h) {
        hand(h);
        t.emplace(body);
        t->until(1);
      },
      [&] {
        t->phase = 2;
        t.reset();
        return unmask();
      });
}

thread_local holder* volatile tls_place;
TEST(ablation, tls_of_a_thread) {
  in_thread(bit(root::tls), [](helper_thread& t) {
    tls_place = unmask();
    clear_dead_stack();
    t.phase = 1;
    while (t.phase.load() != 2) __builtin_ia32_pause();
    tls_place = nullptr;
  });
}

TEST(ablation, stack_of_a_thread) {
  in_thread(bit(root::stacks), [](helper_thread& t) {
    [[maybe_unused]] holder* volatile place = unmask();
    clear_dead_stack();
    t.phase = 1;
    while (t.phase.load() != 2) __builtin_ia32_pause();
    place = nullptr;
  });
}

TEST(ablation, register_of_a_thread) {
  in_thread(bit(root::registers), [](helper_thread& t) {
    clear_dead_stack();
    std::uintptr_t masked = handed.load();
    asm volatile("xorq %[mask], %%rbx\n\tmovl $1, %[phase]\n1:\tpause\n\tcmpl $2, %[phase]\n\tjne 1b\n\txorl %%ebx, %%ebx"
                 : "+b"(masked), [phase] "+m"(t.phase)
                 : [mask] "r"(mask)
                 : "memory", "cc");
  });
}

TEST(ablation, vector_register_of_a_thread) {
  in_thread(bit(root::vector_registers), [](helper_thread& t) {
    clear_dead_stack();
    std::uintptr_t masked = handed.load();
    asm volatile(
        "xorq %[mask], %%rbx\n\tmovq %%rbx, %%xmm9\n\txorl %%ebx, %%ebx\n\tmovl $1, %[phase]\n1:\tpause\n\tcmpl $2, "
        "%[phase]\n\tjne 1b\n\t"
        "pxor %%xmm9, %%xmm9"
        : "+b"(masked), [phase] "+m"(t.phase)
        : [mask] "r"(mask)
        : "memory", "cc", "xmm9");
  });
}

TEST(ablation, red_zone_of_a_thread) {
  in_thread(bit(root::red_zone), [](helper_thread& t) {
    clear_dead_stack();
    std::uintptr_t masked = handed.load();
    asm volatile(
        "xorq %[mask], %%rbx\n\tmovq %%rbx, -64(%%rsp)\n\txorl %%ebx, %%ebx\n\tmovl $1, %[phase]\n1:\tpause\n\tcmpl $2, "
        "%[phase]\n\tjne "
        "1b\n\tmovq $0, -64(%%rsp)"
        : "+b"(masked), [phase] "+m"(t.phase)
        : [mask] "r"(mask)
        : "memory", "cc");
  });
}

// A handler on an alternate stack: its frames count, and so do those that it interrupted.
helper_thread* handler_of;
[[gnu::noinline]] void handle_on_alternate_stack(helper_thread& t, void (*handler)(int)) {
  constexpr std::size_t size = 64 << 10;
  stack_t alternate{};
  alternate.ss_sp = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  alternate.ss_size = size;
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  handler_of = &t;
  raise(SIGUSR1);
  void* used = alternate.ss_sp;
  alternate.ss_flags = SS_DISABLE;
  sigaltstack(&alternate, nullptr);
  munmap(used, size);
}
TEST(ablation, alternate_stack_of_a_handler) {
  in_thread(bit(root::anonymous) | bit(root::stacks), [](helper_thread& t) {
    clear_dead_stack();
    handle_on_alternate_stack(t, [](int) {
      [[maybe_unused]] holder* volatile place = unmask();
      clear_dead_stack();
      handler_of->phase = 1;
      while (handler_of->phase.load() != 2) __builtin_ia32_pause();
      place = nullptr;
    });
  });
}
TEST(ablation, stack_below_a_handler_on_an_alternate_one) {
  in_thread(bit(root::stacks), [](helper_thread& t) {
    [[maybe_unused]] holder* volatile place = unmask();
    clear_dead_stack();
    handle_on_alternate_stack(t, [](int) {
      handler_of->phase = 1;
      while (handler_of->phase.load() != 2) __builtin_ia32_pause();
    });
    place = nullptr;
  });
}

// ORPHAN: the pointer is nowhere to be seen.
TEST(ablation, orphan) {
  set_scene([](holder* h) { hand(h); });
  clear_dead_stack();
  stray::testing::until_parked(1);
  EXPECT_EQ(verdict(), tier::likely);
  EXPECT_EQ(verdict(bit(root::orphans)), tier::proven);
  unmask()->ch.close();
  delete unmask();
  while (stray::num_goroutine() != 0) stray::yield();
}

// COUNT: a live frame keeps a stale copy of the channel's address; only a handle counts.
TEST(ablation, count) {
  struct stale {
    void* core;
  };
  auto* keep = new stale{};
  [[maybe_unused]] static stale* volatile global;
  global = keep;
  set_scene([&](holder* h) {
    keep->core = h->ch.core();
    delete h;
  });
  clear_dead_stack();
  stray::testing::until_parked(1);
  EXPECT_EQ(verdict(), tier::proven);
  EXPECT_TRUE(stray::leak::detect({.count_rule = false})->list.empty());
}

}  // namespace
