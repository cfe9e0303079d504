// One hidden pointer per place: each root source finds its own, and nothing finds it when that source is switched off (ablation).
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#include "trace/roots_case.h"
#include "trace/thread_layout.h"

namespace stray::trace {
namespace {

using namespace test;

TEST_F(roots_case, nothing_holds_it) { EXPECT_FALSE(found()); }

// --- threads --------------------------------------------------------------------------------------------------------------------------

TEST_F(roots_case, general_register) {
  with_thread([] { HOLD_IN("", ""); }, [&] { expect_only_by(root::registers); });
}
TEST_F(roots_case, xmm_register) {
  with_thread([] { HOLD_IN("movq %%rbx, %%xmm9; xor %%ebx, %%ebx;", "pxor %%xmm9, %%xmm9;", "xmm9"); },
              [&] { expect_only_by(root::vector_registers); });
}
TEST_F(roots_case, upper_half_of_a_ymm_register) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "this processor has no AVX";
  with_thread(
      [] {
        HOLD_IN(
            "movq %%rbx, %%xmm9; xor %%ebx, %%ebx; vpxor %%xmm10, %%xmm10, %%xmm10; vinsertf128 $1, %%xmm9, %%ymm10, %%ymm10;"
            "vpxor %%xmm9, %%xmm9, %%xmm9;",
            "vzeroall;", "xmm9", "xmm10");
      },
      [&] { expect_only_by(root::vector_registers); });
}
TEST_F(roots_case, gs_base) {
  with_thread(
      [] {
        syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, ~the_secret->complement);
        scrub();
        spin();
        syscall(SYS_arch_prctl, 0x1001, 0UL);
      },
      [&] { expect_only_by(root::registers); });
}
TEST_F(roots_case, red_zone) {
  with_thread([] { HOLD_IN("mov %%rbx, -64(%%rsp); xor %%ebx, %%ebx;", "movq $0, -64(%%rsp);"); },
              [&] { expect_only_by(root::red_zone); });
}
TEST_F(roots_case, stack_of_a_running_thread) {
  with_thread(
      [] {
        volatile std::uintptr_t slot[4];
        PLANT(&slot[1]);
        spin();
        slot[1] = 0;
      },
      [&] { expect_only_by(root::stacks); });
}
TEST_F(roots_case, below_the_stack_pointer_is_dead) {
  with_thread(
      [] {
        volatile std::uintptr_t here = 0;
        auto* dead = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(&here) - 2048);
        PLANT(dead);
        spin();
        here = 1;
      },
      [&] { EXPECT_FALSE(found()); });
}
thread_local volatile std::uintptr_t a_thread_local[3];
TEST_F(roots_case, thread_local_variable) {
  with_thread(
      [] {
        PLANT(&a_thread_local[1]);
        spin();
      },
      [&] { expect_only_by(root::tls); });
}
TEST_F(roots_case, pthread_key) {
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
  with_thread(
      [&] {
        pthread_setspecific(key, reinterpret_cast<void*>(~the_secret->complement));
        scrub();
        spin();
        pthread_setspecific(key, nullptr);
      },
      [&] { expect_only_by(root::tls); });
  pthread_key_delete(key);
}

// A thread asleep in a system call: its frames are ambiguous roots.
struct sleeper {
  int pipe_ends[2];
  std::atomic<int> tid{0};
  void sleep() {
    volatile std::uintptr_t slot[4];
    char c;
    PLANT(&slot[1]);
    tid.store(static_cast<int>(syscall(SYS_gettid)));
    phase.store(1);
    if (read(pipe_ends[0], &c, 1) != 1) std::abort();
    slot[1] = 0;
  }
  void wait_asleep() const {
    for (;;) {
      char path[64], text[64] = {};
      std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid.load());
      FILE* f = std::fopen(path, "r");
      if (f != nullptr) {
        if (std::fgets(text, sizeof text, f) == nullptr) text[0] = 0;
        std::fclose(f);
      }
      if (text[0] == '0' && text[1] == ' ') return;  // read
      std::this_thread::yield();
    }
  }
};
sleeper* the_sleeper;

TEST_F(roots_case, frames_of_a_thread_in_a_system_call_are_ambiguous) {
  sleeper s;
  ASSERT_EQ(pipe(s.pipe_ends), 0);
  with_thread([&] { s.sleep(); },
              [&] {
                s.wait_asleep();
                EXPECT_FALSE(found());
                EXPECT_TRUE(out->marked_ambiguous);
                EXPECT_FALSE(found(bit(root::ambiguous)));
                EXPECT_FALSE(out->marked_ambiguous);
                ASSERT_EQ(write(s.pipe_ends[1], "x", 1), 1);
              });
  close(s.pipe_ends[0]);
  close(s.pipe_ends[1]);
}

TEST_F(roots_case, a_signal_handler_in_a_system_call_makes_the_frames_strong) {
  sleeper s;
  the_sleeper = &s;
  ASSERT_EQ(pipe(s.pipe_ends), 0);
  struct sigaction action {};
  action.sa_handler = [](int) { the_sleeper->sleep(); };
  sigaction(SIGUSR1, &action, nullptr);
  with_thread([&] { raise(SIGUSR1); },
              [&] {
                s.wait_asleep();
                EXPECT_TRUE(found());
                ASSERT_EQ(write(s.pipe_ends[1], "x", 1), 1);
              });
  close(s.pipe_ends[0]);
  close(s.pipe_ends[1]);
}

TEST_F(roots_case, idle_and_service_threads_are_not_scanned) {
  for (auto what : {thread_role::idle, thread_role::ours}) {
    static thread_role::kind kind;
    kind = what;
    phase.store(0);
    role = [](int, std::uintptr_t) { return thread_role{kind, 0}; };
    with_thread(
        [] {
          volatile std::uintptr_t slot[4];
          PLANT(&slot[1]);
          spin();
          slot[1] = 0;
        },
        [&] { EXPECT_FALSE(found()); });
  }
}

TEST_F(roots_case, a_parked_thread_is_pushed_by_the_client) {
  role = [](int, std::uintptr_t) { return thread_role{thread_role::parked, 0}; };
  with_thread(
      [] {
        volatile std::uintptr_t slot[4];
        PLANT(&slot[1]);
        spin();
        slot[1] = 0;
      },
      [&] {
        EXPECT_FALSE(found());
        EXPECT_FALSE(out->marked_ambiguous);
        EXPECT_TRUE(out->pushed);
      });
}

// --- stacks of other kinds ------------------------------------------------------------------------------------------------------------

ucontext_t fiber_context, thread_context;
void run_on_fiber(char* stack, std::size_t size, void (*f)()) {
  getcontext(&fiber_context);
  fiber_context.uc_stack.ss_sp = stack;
  fiber_context.uc_stack.ss_size = size;
  fiber_context.uc_link = &thread_context;
  makecontext(&fiber_context, f, 0);
  swapcontext(&thread_context, &fiber_context);
}
constexpr std::size_t fiber_size = 64 << 10;

TEST_F(roots_case, under_a_fiber_the_native_stack_counts) {
  char* stack = static_cast<char*>(mmap(nullptr, fiber_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  with_thread(
      [&] {
        volatile std::uintptr_t slot[4];
        PLANT(&slot[1]);
        run_on_fiber(stack, fiber_size, [] { spin(); });
        slot[1] = 0;
      },
      [&] { expect_only_by(root::stacks); });
  munmap(stack, fiber_size);
}
void fiber_with_pointer() {
  volatile std::uintptr_t slot[4];
  PLANT(&slot[1]);
  spin();
  slot[1] = 0;
}
TEST_F(roots_case, a_fiber_on_a_mapped_stack) {
  char* stack = static_cast<char*>(mmap(nullptr, fiber_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  with_thread([&] { run_on_fiber(stack, fiber_size, fiber_with_pointer); },
              [&] { expect_only_by(root::anonymous, bit(root::stacks)); });  // from sp up as a running one's, and the mapping
  munmap(stack, fiber_size);
}
TEST_F(roots_case, a_fiber_on_a_stack_in_the_heap) {
  // Nobody else points to it: sp alone keeps it.
  with_thread([&] { run_on_fiber(static_cast<char*>(std::malloc(fiber_size)), fiber_size, fiber_with_pointer); },
              [&] { EXPECT_TRUE(found()); });
  std::free(fiber_context.uc_stack.ss_sp);
  fiber_context = {};
}
TEST_F(roots_case, a_busy_thread_on_the_clients_stack) {
  char* stack = static_cast<char*>(mmap(nullptr, fiber_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  interest = {reinterpret_cast<std::uintptr_t>(stack), reinterpret_cast<std::uintptr_t>(stack) + fiber_size};
  static std::uintptr_t top;
  top = interest.hi;
  with_thread([&] { run_on_fiber(stack, fiber_size, fiber_with_pointer); },
              [&] {
                role = [](int, std::uintptr_t) { return thread_role{thread_role::idle, 0}; };
                EXPECT_FALSE(found()) << "interest is not scanned by itself";
                role = [](int, std::uintptr_t) { return thread_role{thread_role::busy, top}; };
                expect_only_by(root::stacks);
              });
  munmap(stack, fiber_size);
}

TEST_F(roots_case, the_stack_of_an_exited_thread_does_not_count) {
  std::atomic<int> tid{0};
  std::thread([&] {
    volatile char room[2048];
    PLANT(const_cast<char*>(room) + 1024);
    tid.store(static_cast<int>(syscall(SYS_gettid)));
  }).join();
  EXPECT_FALSE(found());
}
TEST_F(roots_case, the_result_of_a_thread_not_yet_joined_counts) {
  static std::atomic<int> tid;
  tid.store(0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  tid.store(static_cast<int>(syscall(SYS_gettid)));
                  return reinterpret_cast<void*>(~the_secret->complement);
                },
                nullptr),
            0);
  while (tid.load() == 0 || syscall(SYS_tgkill, getpid(), tid.load(), 0) == 0) std::this_thread::yield();
  expect_only_by(root::tls);
  pthread_join(thread, nullptr);
}

// --- memory ---------------------------------------------------------------------------------------------------------------------------

volatile std::uintptr_t in_data[4] = {1, 2, 3, 4};
volatile std::uintptr_t in_bss[1 << 16];
TEST_F(roots_case, data_segment) {
  PLANT(&in_data[2]);
  expect_only_by(root::data);
  in_data[2] = 0;
}
TEST_F(roots_case, bss_segment) {
  PLANT(&in_bss[1 << 15]);
  expect_only_by(root::anonymous, bit(root::data));
  in_bss[1 << 15] = 0;
}

struct page_case : roots_case {
  std::uintptr_t* page = nullptr;
  void SetUp() override {
    roots_case::SetUp();
    map(MAP_PRIVATE);
  }
  void TearDown() override {
    munmap(page, 4096 * 16);
    roots_case::TearDown();
  }
  void map(int flags) {
    if (page != nullptr) munmap(page, 4096 * 16);
    void* at = mmap(nullptr, 4096 * 16, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(at, MAP_FAILED);
    page = static_cast<std::uintptr_t*>(at);
  }
};
TEST_F(page_case, anonymous_mapping) {
  PLANT(&page[1000]);
  expect_only_by(root::anonymous);
}
TEST_F(page_case, tagged_in_the_high_bits) {
  page[1000] = ~out->complement | 0xabcd000000000000u;
  expect_only_by(root::anonymous);
}
TEST_F(page_case, made_read_only_later) {
  PLANT(&page[1000]);
  mprotect(page, 4096 * 16, PROT_READ);
  expect_only_by(root::anonymous);
}
TEST_F(page_case, made_inaccessible_later) {
  PLANT(&page[1000]);
  mprotect(page, 4096 * 16, PROT_NONE);
  expect_only_by(root::anonymous);
}
TEST_F(page_case, shared_mapping) {
  map(MAP_SHARED);
  PLANT(&page[1000]);
  expect_only_by(root::shared);
}
TEST_F(page_case, shared_mapping_moved_and_cleared_while_the_child_marks) {
  map(MAP_SHARED);
  PLANT(&page[1000]);
  out->gate.store(1);
  std::thread mover([&] {
    while (out->gate.load() != 2) std::this_thread::yield();
    void* room = mmap(nullptr, 4096 * 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    auto* moved = static_cast<std::uintptr_t*>(mremap(page, 4096 * 16, 4096 * 16, MREMAP_MAYMOVE | MREMAP_FIXED, room));
    moved[1000] = 0;
    page = moved;
    out->gate.store(3);
  });
  EXPECT_TRUE(found());
  mover.join();
  EXPECT_FALSE(found()) << "it has been cleared";
}
TEST_F(page_case, swapped_out) {
  PLANT(&page[1000]);
  std::uint64_t entry = 0;
  int pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
  for (int i = 0; i < 100 && (entry >> 62 & 1) == 0; i++) {
    madvise(page, 4096 * 16, MADV_PAGEOUT);
    ASSERT_EQ(pread(pagemap, &entry, 8, static_cast<off_t>(reinterpret_cast<std::uintptr_t>(&page[1000]) / 4096 * 8)), 8);
  }
  close(pagemap);
  if ((entry >> 62 & 1) == 0) GTEST_SKIP() << "this machine does not swap";
  expect_only_by(root::anonymous);
}
TEST_F(page_case, dontfork) {
  PLANT(&page[1000]);
  ASSERT_EQ(madvise(page, 4096 * 16, MADV_DONTFORK), 0);
  expect_only_by(root::dontfork);
}
TEST_F(page_case, wipeonfork) {
  PLANT(&page[1000]);
  ASSERT_EQ(madvise(page, 4096 * 16, MADV_WIPEONFORK), 0);
  expect_only_by(root::wipeonfork);
}
TEST_F(page_case, a_private_page_of_a_file_once_written) {
  int fd = memfd_create("roots", 0);
  ASSERT_EQ(ftruncate(fd, 4096 * 4), 0);
  auto* p = static_cast<std::uintptr_t*>(mmap(nullptr, 4096 * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  PLANT(&p[700]);
  mprotect(p, 4096 * 4, PROT_READ);
  expect_only_by(root::data);
  munmap(p, 4096 * 4);
  close(fd);
}
TEST_F(page_case, a_shared_mapping_beyond_the_end_of_its_file) {
  int fd = memfd_create("roots", 0);
  ASSERT_EQ(ftruncate(fd, 4096 * 4), 0);
  auto* p = static_cast<std::uintptr_t*>(mmap(nullptr, 4096 * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  for (int i = 0; i < 4; i++) p[i * 512] = 1;
  PLANT(&p[10]);
  ASSERT_EQ(ftruncate(fd, 4096), 0);
  expect_only_by(root::shared);
  munmap(p, 4096 * 4);
  close(fd);
}
TEST_F(roots_case, mallocs_own_state_does_not_count) {
  // The last block before `top`, blocks beside binned chunks: `top` and the bins point into the block before.
  std::vector<std::uintptr_t> hidden;
  for (int i = 0; i < 64; i++) hidden.push_back(~reinterpret_cast<std::uintptr_t>(std::malloc(40000)));
  for (std::size_t i = 1; i < hidden.size(); i += 4) {
    std::free(reinterpret_cast<void*>(~hidden[i]));
    hidden[i] = 0;
  }
  std::uintptr_t first = out->complement;
  for (std::uintptr_t h : hidden) {
    if (h == 0) continue;
    out->complement = h;
    ASSERT_FALSE(found());
  }
  for (std::uintptr_t h : hidden) std::free(h == 0 ? nullptr : reinterpret_cast<void*>(~h));
  out->complement = first;
}

// Its saved registers are the creator's, at the moment of pthread_create.
TEST_F(roots_case, the_frame_from_which_libc_calls_a_threads_function_is_told_from_its_thread_local_storage) {
  thread_layout layout;
  find_thread_layout(layout);
  ASSERT_TRUE(layout.known);
  EXPECT_LT(layout.tls_below, layout.frames_below);
}

}  // namespace
}  // namespace stray::trace
