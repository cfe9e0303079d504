// Each place where the only pointer may lie keeps a goroutine silent, and reports it when its source of roots is switched off: so each
// source is there for a reason, and each test can fail.
#include <sys/mman.h>
#include <thread>

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
void in_thread(root source, void (*body)(helper_thread&)) {
  std::optional<helper_thread> t;
  expect_root(
      source,
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
  in_thread(root::tls, [](helper_thread& t) {
    tls_place = unmask();
    clear_dead_stack();
    t.phase = 1;
    while (t.phase.load() != 2) __builtin_ia32_pause();
    tls_place = nullptr;
  });
}

TEST(ablation, stack_of_a_thread) {
  in_thread(root::stacks, [](helper_thread& t) {
    [[maybe_unused]] holder* volatile place = unmask();
    clear_dead_stack();
    t.phase = 1;
    while (t.phase.load() != 2) __builtin_ia32_pause();
    place = nullptr;
  });
}

TEST(ablation, register_of_a_thread) {
  in_thread(root::registers, [](helper_thread& t) {
    clear_dead_stack();
    std::uintptr_t masked = handed.load();
    asm volatile("xorq %[mask], %%rbx\n\tmovl $1, %[phase]\n1:\tpause\n\tcmpl $2, %[phase]\n\tjne 1b\n\txorl %%ebx, %%ebx"
                 : "+b"(masked), [phase] "+m"(t.phase)
                 : [mask] "r"(mask)
                 : "memory", "cc");
  });
}

TEST(ablation, vector_register_of_a_thread) {
  in_thread(root::vector_registers, [](helper_thread& t) {
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
  in_thread(root::red_zone, [](helper_thread& t) {
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
