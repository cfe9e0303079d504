// Rule COUNT at every instruction: valid handle words in memory never outnumber the core's reference count.
//
// 1. Code that copies, moves, stores and destroys real handles is stepped one instruction at a time. At each one, the words whose check
//    value is right for their own address and some kind are counted in the live stack (from 128 bytes below the stack pointer) and in every
//    block of operator new: `located`. Above the count: unsound. Equal: the detector knows every reference. Below: it must be careful.
// 2. Between two shapes nothing is in flight, so located equals the count.
// 3. A core that has been given back (in_use is false) has no count to compare with, and no valid handle either.
// Printed: instructions stepped, and at how many of them the count was exact.
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>
#include <string>

#include <stray/chan.hpp>
#include "handle_shapes.hpp"
#include "single_step.hpp"
#include "sync/chan_core.h"

namespace {

using std::uintptr_t;

// The blocks that the stepped code has from operator new. Written by the stepped thread, read in its trap handler: a block is entered before
// anything lies in it and leaves after everything has left it.
struct block {
  volatile uintptr_t at = 0;  // volatile: the handler sees the two stores in this order
  volatile std::size_t bytes = 0;
};
constinit block blocks[512]{};
constinit bool tracking = false;

void enter_block(void* at, std::size_t bytes) {
  for (block& b : blocks) {
    if (b.at != 0) continue;
    b.bytes = bytes & ~std::size_t{7};
    b.at = reinterpret_cast<uintptr_t>(at);
    return;
  }
  std::abort();
}
void leave_block(void* at) {
  for (block& b : blocks) {
    if (b.at == reinterpret_cast<uintptr_t>(at)) b.at = 0;
  }
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* at = std::malloc(bytes != 0 ? bytes : 1);
  if (at == nullptr) throw std::bad_alloc();
  if (tracking) enter_block(at, bytes);
  return at;
}
[[gnu::noinline]] void operator delete(void* at) noexcept {
  if (at == nullptr) return;
  leave_block(at);
  std::free(at);
}
[[gnu::noinline]] void operator delete(void* at, std::size_t) noexcept { operator delete(at); }

namespace {

using handle_shapes::chan;
using handle_shapes::shape;
std::uint64_t total = 0, total_exact = 0, total_over = 0;

// What is watched: one core, from one thread's stack up to `top`.
struct watch {
  stray::detail::chan_core* core;
  uintptr_t top;
  std::uint64_t exact = 0, over = 0, under = 0;

  bool valid(uintptr_t at) const noexcept {
    auto word = reinterpret_cast<uintptr_t>(core);
    const auto* pair = reinterpret_cast<const volatile uintptr_t*>(at);
    if (pair[0] != word) return false;
    uintptr_t kind = pair[1] ^ word ^ at ^ stray::detail::handle_key;
    return kind <= static_cast<uintptr_t>(stray::detail::handle_kind::recv);
  }
  std::int64_t count(uintptr_t from, uintptr_t to) const noexcept {
    std::int64_t n = 0;
    for (uintptr_t at = (from + 7) & ~uintptr_t{7}; at + 16 <= to; at += 8) n += valid(at);
    return n;
  }
  std::int64_t located(uintptr_t from) const noexcept {
    std::int64_t n = count(from, top);
    for (const block& b : blocks) {
      if (b.at != 0) n += count(b.at, b.at + b.bytes);
    }
    return n;
  }
  std::int64_t references() const noexcept { return core->in_use.load() ? core->refs.count.load() : 0; }
  // At an instruction of the stepped code.
  void look(const ucontext_t& at) noexcept {
    std::int64_t n = located(static_cast<uintptr_t>(at.uc_mcontext.gregs[REG_RSP]) - 128), references_now = references();
    n > references_now ? over++ : n == references_now ? exact++ : under++;
  }
  [[gnu::noinline]] std::int64_t located_now() const noexcept {
    return located(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  }
};

class handle_steps : public testing::TestWithParam<shape> {};
INSTANTIATE_TEST_SUITE_P(shapes, handle_steps, testing::ValuesIn(handle_shapes::all),
                         [](const auto& p) { return std::string(p.param.name); });

[[gnu::noinline]] void step_through(const shape& s, bool keep) {
  chan c = stray::make_chan<int>(1);
  chan keeper = keep ? c : chan();  // without it the core ends with the shape's last handle
  watch w{c.core(), reinterpret_cast<uintptr_t>(__builtin_frame_address(0))};
  tracking = true;
  std::uint64_t stepped = single_step::run([&w](const ucontext_t& at) { w.look(at); }, [&] { s.run(c); });
  tracking = false;
  EXPECT_EQ(w.located_now(), w.references());
  EXPECT_EQ(w.references(), (c ? 1 : 0) + (keeper ? 1 : 0));
  EXPECT_EQ(w.over, 0u) << "more valid handles than references";
  EXPECT_GT(w.exact, 0u);
  EXPECT_EQ(stepped, w.exact + w.over + w.under);
  total += stepped, total_exact += w.exact, total_over += w.over;
}

TEST_P(handle_steps, never_more_than_the_count) { step_through(GetParam(), true); }
TEST_P(handle_steps, never_more_than_the_count_when_the_last_goes) { step_through(GetParam(), false); }

// The oracle sees a violation: a handle whose destination is written before its source is cleared counts twice.
struct wrong_order {
  volatile uintptr_t core, check;
  void set(uintptr_t k) {
    core = k;
    check = k ^ reinterpret_cast<uintptr_t>(this) ^ stray::detail::handle_key;
  }
  void clear() {
    core = 0;
    check = 0;
  }
};
TEST(handle_oracle, sees_a_move_in_the_wrong_order) {
  chan c = stray::make_chan<int>();
  watch w{c.core(), reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) + 16};
  wrong_order a, b;
  a.set(reinterpret_cast<uintptr_t>(c.core()));
  b.clear();
  c.core()->refs.count = 2;  // c and a
  std::uint64_t n = single_step::run([&w](const ucontext_t& at) { w.look(at); }, [&] { b.set(a.core), a.clear(); });
  c.core()->refs.count = 1;
  EXPECT_GT(w.over, 0u);
  EXPECT_LT(w.over, n);
}

// The harness itself: system calls, exceptions and other threads.
TEST(single_step, survives_system_calls_and_exceptions) {
  volatile int seen = 0;
  std::uint64_t n = single_step::run([&seen](const ucontext_t&) { seen = seen + 1; },
                                     [] {
                                       timespec t{0, 1000};
                                       for (int i = 0; i < 3; i++) nanosleep(&t, nullptr);
                                       std::printf("printed while stepped\n");
                                     });
  EXPECT_EQ(n, static_cast<std::uint64_t>(seen));
  EXPECT_GT(n, 100u);
  EXPECT_THROW(single_step::run([](const ucontext_t&) {}, [] { throw 1; }), int);
}

class sum_printer : public testing::Environment {
  void TearDown() override {
    std::printf("handles: %lu instructions stepped, located above the count at %lu, equal at %lu\n", total, total_over,
                total_exact);
  }
};
[[maybe_unused]] const auto* printer = testing::AddGlobalTestEnvironment(new sum_printer);

}  // namespace
