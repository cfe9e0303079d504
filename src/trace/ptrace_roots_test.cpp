// Registers of a thread that ptrace has stopped are roots as if a signal handler had them.
#include "trace/ptrace_case.h"
#include "trace/roots_case.h"

namespace stray::trace {
namespace {

using namespace test;

struct ptrace_roots : roots_case {
  void SetUp() override {
    roots_case::SetUp();
    if (!may_trace()) GTEST_SKIP() << "a child may not trace its parent here";
  }
};

#define HOLD_MASKED(...) \
  block_every_signal();  \
  HOLD_IN(__VA_ARGS__)

TEST_F(ptrace_roots, general_register_of_a_thread_that_blocks_every_signal) {
  with_thread([] { HOLD_MASKED("", ""); }, [&] { expect_only_by(root::registers); });
}
TEST_F(ptrace_roots, upper_half_of_a_ymm_register_of_a_thread_that_blocks_every_signal) {
  if (!__builtin_cpu_supports("avx")) GTEST_SKIP() << "this processor has no AVX";
  with_thread(
      [] {
        HOLD_MASKED(
            "movq %%rbx, %%xmm9; xor %%ebx, %%ebx; vpxor %%xmm10, %%xmm10, %%xmm10; vinsertf128 $1, %%xmm9, %%ymm10, %%ymm10;"
            "vpxor %%xmm9, %%xmm9, %%xmm9;",
            "vzeroall;", "xmm9", "xmm10");
      },
      [&] { expect_only_by(root::vector_registers); });
}
TEST_F(ptrace_roots, red_zone_of_a_thread_that_blocks_every_signal) {
  with_thread([] { HOLD_MASKED("mov %%rbx, -64(%%rsp); xor %%ebx, %%ebx;", "movq $0, -64(%%rsp);"); },
              [&] { expect_only_by(root::red_zone); });
}

}  // namespace
}  // namespace stray::trace
