#include "profile/unwind.h"

#include <algorithm>
#include <chrono>
#include <csetjmp>
#include <cstdio>
#include <execinfo.h>
#include <gtest/gtest.h>
#include <random>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unwind.h>
#include <vector>

#include "base/wild_stack.h"
#include "profile/cfi.h"

namespace unwind_fixture {

using stray::profile::registers;
using stray::profile::stack_bounds;

// A coroutine that stops itself deep in some calls; its registers are then those that swapcontext saved.
struct parked {
  static constexpr std::size_t size = 64 << 10;
  ucontext_t self{}, resumer{};
  char* stack;
  std::vector<std::uintptr_t> by_libgcc;  // the stack as libgcc's unwinder saw it when running

  parked() { stack = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }
  ~parked() { munmap(stack, size); }
  parked(const parked&) = delete;
  parked& operator=(const parked&) = delete;

  stack_bounds bounds() const {
    return {reinterpret_cast<std::uintptr_t>(stack), reinterpret_cast<std::uintptr_t>(stack) + size};
  }
  registers regs() const {
    const auto& g = self.uc_mcontext.gregs;
    auto r = [&](int i) { return static_cast<std::uintptr_t>(g[i]); };
    return {r(REG_RIP), r(REG_RSP), r(REG_RBP), r(REG_RBX), r(REG_R12), r(REG_R13), r(REG_R14), r(REG_R15)};
  }
};

parked* current;

_Unwind_Reason_Code collect(_Unwind_Context* context, void* out) {
  auto ip = _Unwind_GetIP(context);
  if (ip != 0) static_cast<std::vector<std::uintptr_t>*>(out)->push_back(ip);
  return _URC_NO_REASON;
}

[[gnu::noinline]] void stop() {
  _Unwind_Backtrace(collect, &current->by_libgcc);
  swapcontext(&current->self, &current->resumer);
  asm volatile("");
}
[[gnu::noinline]] int aligned(int depth) {
  alignas(64) volatile char room[128];
  room[depth] = 1;
  stop();
  return room[depth];
}
[[gnu::noinline]] int variable(int depth) {
  volatile char* room = static_cast<volatile char*>(__builtin_alloca(static_cast<std::size_t>(depth) * 16 + 16));
  room[0] = 1;
  return aligned(depth) + room[0];
}
[[gnu::noinline]] int recursive(int depth, int a, int b, int c, int d) {
  if (depth == 0) return variable(a & 7);
  int r = recursive(depth - 1, a + b, b + c, c + d, d + a);
  return r + a * 3 + b * 5 + c * 7 + d;
}
void body() { recursive(5, 1, 2, 3, 4); }

void park(parked& p) {
  current = &p;
  getcontext(&p.self);
  p.self.uc_stack.ss_sp = p.stack;
  p.self.uc_stack.ss_size = parked::size;
  makecontext(&p.self, body, 0);
  swapcontext(&p.resumer, &p.self);
}

}  // namespace unwind_fixture

using namespace unwind_fixture;
using namespace stray::profile;

TEST(unwind, agrees_with_libgcc_on_a_saved_context) {
  parked p;
  park(p);
  std::uintptr_t pcs[64];
  std::size_t n = unwind(p.regs(), p.bounds(), pcs, 64);
  // The innermost differ (we begin behind swapcontext, or a sanitizer's; libgcc at another call of stop): from stop's caller on they agree.
  ASSERT_GE(p.by_libgcc.size(), 4U);
  std::size_t at = 0;
  while (at < n && pcs[at] != p.by_libgcc[1]) ++at;
  ASSERT_LE(at, 2U);
  ASSERT_GE(n - at, 3U);
  for (std::size_t i = 0; at + i + 1 < n; ++i)
    EXPECT_EQ(pcs[at + i], p.by_libgcc[i + 1]) << i;  // the outermost of makecontext has no caller
}

TEST(unwind, max_and_image_shift) {
  parked p;
  park(p);
  std::uintptr_t pcs[64], few[4] = {1, 2, 3, 4}, copied[64];
  std::size_t n = unwind(p.regs(), p.bounds(), pcs, 64);
  EXPECT_EQ(unwind(p.regs(), p.bounds(), few, 3), 3U);
  EXPECT_EQ(few[2], pcs[2]);
  EXPECT_EQ(few[3], 4U);
  EXPECT_EQ(unwind(p.regs(), p.bounds(), few, 0), 0U);
  std::vector<char> copy(p.stack, p.stack + parked::size);
  mprotect(p.stack, parked::size, PROT_NONE);
  std::size_t m = unwind(p.regs(), p.bounds(), copied, 64,
                         reinterpret_cast<std::intptr_t>(copy.data()) - reinterpret_cast<std::intptr_t>(p.stack));
  ASSERT_EQ(n, m);
  for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(pcs[i], copied[i]);
}

// An entry function whose return address is declared undefined, as a goroutine's is.
extern "C" void unwind_test_entry();
asm(R"(
  .text
  .globl unwind_test_entry
  .type unwind_test_entry, @function
unwind_test_entry:
  .cfi_startproc
  .cfi_undefined rip
  push $0
  call unwind_test_inner
  hlt
  .cfi_endproc
  .size unwind_test_entry, .-unwind_test_entry
)");
extern "C" [[gnu::used]] void unwind_test_inner() {
  stop();
  asm volatile("");
}

TEST(unwind, stops_at_an_undefined_return_address) {
  parked p;
  current = &p;
  getcontext(&p.self);
  p.self.uc_stack.ss_sp = p.stack;
  p.self.uc_stack.ss_size = parked::size;
  makecontext(&p.self, unwind_test_entry, 0);
  swapcontext(&p.resumer, &p.self);
  std::uintptr_t pcs[64];
  std::size_t n = unwind(p.regs(), p.bounds(), pcs, 64);
  ASSERT_GE(n, 3U);
  auto entry = reinterpret_cast<std::uintptr_t>(&unwind_test_entry);
  EXPECT_GT(pcs[n - 1], entry);
  EXPECT_LT(pcs[n - 1], entry + 16);
}

TEST(unwind, garbage_never_faults) {
  // Code of every module.
  void* real[32];
  int n_real = backtrace(real, 32);
  std::vector<std::uintptr_t> code;
  for (int i = 0; i < n_real; ++i) code.push_back(reinterpret_cast<std::uintptr_t>(real[i]));
  code.push_back(reinterpret_cast<std::uintptr_t>(&malloc));
  code.push_back(reinterpret_cast<std::uintptr_t>(&unwind_test_entry));
  stray::base::wild_stack wild(20261124, std::move(code));
  auto word = [&] { return wild.word(); };
  std::size_t frames = 0;
  for (int round = 0; round < 20000; ++round) {
    if (round % 50 == 0) wild.fill();
    registers r{word(), word(), word(), word(), word(), word(), word(), word()};
    if (round % 2 == 0) r.sp = wild.slot();
    std::uintptr_t pcs[100];
    std::size_t n = unwind(r, {wild.lo, wild.hi}, pcs, 100);
    ASSERT_GE(n, 1U);
    ASSERT_LE(n, 100U);
    EXPECT_EQ(pcs[0], r.pc);
    frames += n;
  }
  EXPECT_GT(frames, 21000U);  // some of it did walk
}

namespace {
[[gnu::noinline]] std::size_t here(std::uintptr_t* pcs, std::size_t max) {
  std::size_t n = unwind_here(pcs, max);
  asm volatile("");
  return n;
}
}  // namespace

TEST(unwind, here) {
  std::uintptr_t pcs[64];
  std::size_t n = here(pcs, 64);
  std::vector<std::uintptr_t> reference;
  _Unwind_Backtrace(collect, &reference);
  ASSERT_GE(n, 4U);
  auto begin = reinterpret_cast<std::uintptr_t>(&here);
  EXPECT_GT(pcs[0], begin);
  EXPECT_LT(pcs[0], begin + 200);
  // Outside the test body both see the same callers: to main, and beyond.
  EXPECT_EQ(pcs[n - 1], reference.back());
  EXPECT_EQ(pcs[2], reference[1]);
  EXPECT_EQ(n, reference.size() + 1);
}

namespace {
std::uintptr_t in_handler[64];
std::size_t in_handler_count;
void on_signal(int) { in_handler_count = unwind_here(in_handler, 64); }
[[gnu::noinline]] void raiser() {
  raise(SIGUSR1);
  asm volatile("");
}
}  // namespace

TEST(unwind, through_a_signal_frame) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer minds the allocation in a signal handler";
#endif
  signal(SIGUSR1, on_signal);
  raiser();
  signal(SIGUSR1, SIG_DFL);
  auto begin = reinterpret_cast<std::uintptr_t>(&raiser);
  bool found = false;
  for (std::size_t i = 0; i < in_handler_count; ++i) found |= in_handler[i] > begin && in_handler[i] < begin + 100;
  EXPECT_TRUE(found) << in_handler_count << " frames";
}

TEST(unwind, every_code_address_of_this_program_is_safe_to_ask) {
  auto begin = reinterpret_cast<std::uintptr_t>(&unwind_test_entry);
  std::size_t rules = 0;
  for (std::uintptr_t pc = begin - 4096; pc < begin + 4096; ++pc) rules += cfi::find_rule(pc).has_value();
  EXPECT_GT(rules, 4000U);
  EXPECT_FALSE(cfi::find_rule(0));
  EXPECT_FALSE(cfi::find_rule(16));
  EXPECT_FALSE(cfi::find_rule(~std::uintptr_t{0}));
}

// A figure of docs/measurements.md: 100,000 parked stacks.
TEST(unwind, the_same_stack_again_and_again) {
  parked p;
  park(p);
  std::uintptr_t pcs[64], again[64];
  std::size_t n = unwind(p.regs(), p.bounds(), pcs, 5);
  EXPECT_EQ(n, 5u);
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 100000; ++i) {
    ASSERT_EQ(unwind(p.regs(), p.bounds(), again, 5), n);
    ASSERT_TRUE(std::equal(pcs, pcs + n, again));
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("100000 stacks of %zu frames: %.3f s\n", n, seconds);
}
