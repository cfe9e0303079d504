// Pointers that lie at no multiple of 8 bytes, or in two halves: the verdict on a waiter that such a word could wake is likely, and says where.
// The address of the block is stored by a few instructions that leave no aligned copy behind.
#include <array>
#include <cstring>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <thread>
#include <ucontext.h>
#include <vector>

#include "scene.hpp"

namespace {

using namespace ablation;

constexpr std::string_view said = "not aligned";

// An address that is stored at any offset, and found there again. The room is the program's own, filled with what is no address.
struct any_room {
  unsigned char* at;
  explicit any_room(unsigned char* room) : at(room) {}
  void put(holder* h) const { std::memcpy(at, &h, sizeof h); }
  holder* take() const {
    holder* h;
    std::memcpy(&h, at, sizeof h);
    std::memset(at, 0x11, sizeof h);
    return h;
  }
};

void expect_at(unsigned char* room) {
  any_room r(room);
  expect_likely(
      root::unaligned, [&](holder* h) { r.put(h); }, [&] { return r.take(); }, said);
}

class offsets : public ::testing::TestWithParam<int> {};
TEST_P(offsets, in_a_heap_block) {
  std::vector<unsigned char> bytes(128, 0x11);
  expect_at(bytes.data() + 32 + GetParam());
}
unsigned char global_bytes[256];
TEST_P(offsets, in_a_variable) { expect_at(global_bytes + 64 + GetParam()); }
TEST_P(offsets, in_a_private_mapping) {
  void* at = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect_at(static_cast<unsigned char*>(at) + 1024 + GetParam());
  munmap(at, 4096);
}
TEST_P(offsets, in_shared_memory) {
  void* at = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  expect_at(static_cast<unsigned char*>(at) + 1024 + GetParam());
  munmap(at, 4096);
}
TEST_P(offsets, at_the_end_of_a_page_of_code) {
  auto* at = static_cast<unsigned char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::memset(at, 0x90, 4096);
  any_room r(at + 4096 - 16 + GetParam());
  mprotect(at, 4096, PROT_READ | PROT_EXEC);
  expect_likely(
      root::unaligned,
      [&](holder* h) {
        mprotect(at, 4096, PROT_READ | PROT_WRITE);
        r.put(h);
        mprotect(at, 4096, PROT_READ | PROT_EXEC);
      },
      [&] {
        mprotect(at, 4096, PROT_READ | PROT_WRITE);
        return r.take();
      },
      said);
  munmap(at, 4096);
}
TEST_P(offsets, in_a_channels_buffer) {
  static stray::chan<std::array<unsigned char, 40>> mail;
  mail = stray::make_chan<std::array<unsigned char, 40>>(2);
  const int offset = GetParam();
  expect_likely(
      root::unaligned,
      [&](holder* h) {
        std::array<unsigned char, 40> m;
        m.fill(0x11);
        std::memcpy(m.data() + 8 + offset, &h, sizeof h);
        mail.send(m);
        m.fill(0x11);
        asm volatile("" : : "r"(m.data()) : "memory");
      },
      [&] {
        std::array<unsigned char, 40> m = *mail.recv();
        holder* h;
        std::memcpy(&h, m.data() + 8 + offset, sizeof h);
        return h;
      },
      said);
  mail = {};
}
INSTANTIATE_TEST_SUITE_P(all, offsets, ::testing::Range(1, 8));

// The first packed word leads to a block that only another packed word leads on from.
TEST(unaligned_words, in_a_chain) {
  std::vector<unsigned char> first(64, 0x11);
  struct second_block {
    unsigned char bytes[64];
    static void* operator new(std::size_t) { return fresh.take(); }
    static void operator delete(void*) noexcept {}
  };
  auto put = [&](holder* h) {
    auto* second = new second_block;
    std::memset(second->bytes, 0x11, 40);
    std::memcpy(second->bytes + 11, &h, sizeof h);
    std::memcpy(first.data() + 5, &second, sizeof second);
  };
  auto take = [&] {
    second_block* second;
    holder* h;
    std::memcpy(&second, first.data() + 5, sizeof second);
    std::memcpy(&h, second->bytes + 11, sizeof h);
    std::memset(first.data(), 0x11, first.size());
    return h;
  };
  set_scene(put);  // an orphan leads on, too: what is asserted is that it is never proven
  clear_dead_stack();
  stray::testing::until_parked(1);
  EXPECT_EQ(verdict(), tier::likely);
  EXPECT_EQ(verdict(bit(root::orphans)), tier::likely);
  EXPECT_EQ(verdict(bit(root::orphans) | bit(root::unaligned)), tier::proven);
  holder* h = take();
  h->ch.close();
  delete h;
  until_all_ended();
}

TEST(unaligned_words, of_epoll_events) {
  std::vector<epoll_event> events(4);
  expect_likely(
      root::unaligned, [&](holder* h) { events[2].data.ptr = h; },
      [&] {
        auto* h = static_cast<holder*>(events[2].data.ptr);
        events[2].data.ptr = nullptr;
        return h;
      },
      said);
}

// A pointer into the waiter's own frame.
TEST(unaligned_words, to_a_frame) {
  std::vector<unsigned char> bytes(64, 0x11);
  stray::go([&bytes] {
    auto own = stray::make_chan<int>();
    const void* here = &own;
    std::memcpy(bytes.data() + 3, &here, sizeof here);
    here = nullptr;
    asm volatile("" : : "r"(&here) : "memory");
    own.recv();
  });
  stray::testing::until_parked(1);
  clear_dead_stack();
  EXPECT_EQ(verdict(), tier::likely);
  EXPECT_EQ(verdict(bit(root::unaligned)), tier::proven);
  stray::chan<int>* own;
  std::memcpy(&own, bytes.data() + 3, sizeof own);
  own->close();
  until_all_ended();
}

// Two mappings that follow one another: their pages are listed one by one.
TEST(unaligned_words, across_two_mappings) {
  auto* at = static_cast<unsigned char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (int flags : {MAP_PRIVATE, MAP_SHARED}) {
    ASSERT_EQ(mmap(at + 4096, 4096, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at + 4096);
    if (flags == MAP_PRIVATE) mprotect(at + 4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (int offset : {1, 4, 7}) expect_at(at + 4096 - offset);
  }
  munmap(at, 8192);
}

// A packed record on its way in a vector register: the signal frame keeps its halves apart.
TEST(unaligned_words, across_two_parts_of_a_register) {
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "this processor has no AVX2";
  alignas(32) static unsigned char record[32];
  static std::atomic<int> phase;
  phase = 0;
  std::thread copier([] {  // started first: a thread begins with registers of who starts it
    while (phase != 3) std::this_thread::yield();
    asm volatile(
        "vmovdqa (%0), %%ymm5; vpxor %%xmm6, %%xmm6, %%xmm6; vmovdqa %%ymm6, (%0); movl $1, (%1); 1: pause; cmpl $2, (%1); jne "
        "1b;"
        "vmovdqa %%ymm5, (%0); vpxor %%xmm5, %%xmm5, %%xmm5"
        :
        : "r"(record), "r"(&phase)
        : "memory", "cc", "xmm5", "xmm6");
  });
  expect_likely(
      root::unaligned,
      [&](holder* h) {
        std::memset(record, 0x11, sizeof record);
        std::memcpy(record + 11, &h, sizeof h);
        phase = 3;
        while (phase != 1) std::this_thread::yield();
      },
      [&] {
        phase = 2;
        copier.join();
        holder* h;
        std::memcpy(&h, record + 11, sizeof h);
        std::memset(record, 0, sizeof record);
        return h;
      },
      said);
}

struct halves_at {
  std::size_t low, high;
};
class in_two_halves : public ::testing::TestWithParam<halves_at> {};
TEST_P(in_two_halves, of_a_context) {
  std::vector<std::uint64_t> words(16, 0x1111'1111'1111'1111);
  auto [low, high] = GetParam();
  expect_likely(
      root::unaligned,
      [&](holder* h) {
        auto v = reinterpret_cast<std::uintptr_t>(h);
        words[low] = v & 0xffff'ffff;
        words[high] = v >> 32;
      },
      [&] { return reinterpret_cast<holder*>(words[high] << 32 | words[low]); }, said);
}
INSTANTIATE_TEST_SUITE_P(all, in_two_halves,
                         ::testing::Values(halves_at{4, 5}, halves_at{5, 4}, halves_at{4, 7}, halves_at{7, 5}, halves_at{1, 0},
                                           halves_at{3, 0}, halves_at{0, 1}, halves_at{14, 15}, halves_at{15, 14}));

ucontext_t here, fiber;
holder* arrived;
void entry(unsigned lo, unsigned hi) {
  arrived = reinterpret_cast<holder*>(static_cast<std::uintptr_t>(hi) << 32 | lo);
  swapcontext(&fiber, &here);
}
TEST(unaligned_words, arguments_of_makecontext) {
  static unsigned char* stack =
      static_cast<unsigned char*>(mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  expect_likely(
      root::unaligned,
      [](holder* h) {
        getcontext(&fiber);
        for (greg_t& saved : fiber.uc_mcontext.gregs) saved = 0;  // one of them may hold the address, whole
        fiber.uc_stack.ss_sp = stack;
        fiber.uc_stack.ss_size = 65536;
        fiber.uc_link = nullptr;
        auto v = reinterpret_cast<std::uintptr_t>(h);
        makecontext(&fiber, reinterpret_cast<void (*)()>(entry), 2, static_cast<unsigned>(v), static_cast<unsigned>(v >> 32));
      },
      [] {
        swapcontext(&here, &fiber);
        std::memset(&fiber, 0, sizeof fiber);
        return std::exchange(arrived, nullptr);
      },
      said);
}

// Nothing hidden: proven, beside bytes of every value.
TEST(unaligned_words, bytes_that_are_no_addresses_prove_nothing_away) {
  std::vector<unsigned char> noise(1 << 20);
  std::uint64_t x = 88172645463325252;
  for (unsigned char& b : noise) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    b = static_cast<unsigned char>(x);
  }
  expect_proven_of_own_block(hand, unmask);
}

}  // namespace
