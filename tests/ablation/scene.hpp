// The scene of every ablation test: a goroutine waits on a channel, and the only way to its sending handle leads through one place.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/detect/detector.h"
#include "leak/model/ablation.h"
#include "leak/model/findings.h"
#include "trace/image_types.h"

namespace ablation {

using stray::leak::tier;
using stray::trace::bit;
using stray::trace::root;

[[gnu::noinline]] inline void clear_dead_stack() {
  volatile char room[16384];
  for (char volatile& c : room) c = 0;
}

// Blocks that malloc has never given out before, so that no stale word anywhere leads to them; complemented, so that this does not either.
class fresh_blocks {
 public:
  fresh_blocks() {
    std::uintptr_t used = 0;  // start-up has used what lies below, and given some of it back
    for (int i = 0; i < 10; i++) used = reinterpret_cast<std::uintptr_t>(std::malloc(100'000));
    for (std::uintptr_t& b : blocks_) {
      do b = ~reinterpret_cast<std::uintptr_t>(std::calloc(1, 48));
      while (~b < used);
    }
  }
  void* take() noexcept { return reinterpret_cast<void*>(~blocks_[next_++ % 256]); }

 private:
  std::uintptr_t blocks_[256];
  std::size_t next_ = 0;
};
inline fresh_blocks fresh;

struct holder {  // a heap block that owns the only sending handle
  stray::chan<int> ch;
  static void* operator new(std::size_t) { return fresh.take(); }
  static void operator delete(void*) noexcept {}
};

// A holder's address that nobody recognises.
inline std::atomic<std::uintptr_t> handed{0};
constexpr std::uintptr_t mask = 0x5a5a'5a5a'5a5a'5a5a;
inline holder* unmask() { return reinterpret_cast<holder*>(handed.load() ^ mask); }
inline void hand(holder* h) { handed = reinterpret_cast<std::uintptr_t>(h) ^ mask; }

// Starts a goroutine that waits on a new channel; `put` stores the address of the holder. Nothing else keeps it.
[[gnu::noinline]] inline void set_scene(const std::function<void(holder*)>& put) {
  auto* h = new holder{stray::make_chan<int>()};
  stray::go([ch = h->ch] { ch.recv(); });
  put(h);
}

// Contexts keep registers, and a context in memory keeps them as words.
[[gnu::noinline]] inline void scrub_registers() {
  asm volatile(
      "xor %%eax,%%eax; xor %%ecx,%%ecx; xor %%edx,%%edx; xor %%esi,%%esi; xor %%edi,%%edi; xor %%r8d,%%r8d;"
      "xor %%r9d,%%r9d; xor %%r10d,%%r10d; xor %%r11d,%%r11d"
      :
      :
      : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}
inline void scrub() {
  clear_dead_stack();
  scrub_registers();
}
[[gnu::noinline]] inline void take_into(std::atomic<holder*>& from, holder* volatile& kept) { kept = from.exchange(nullptr); }

// The best tier of what is reported; none: silent.
inline std::optional<tier> verdict(unsigned off = 0) {
  std::optional<tier> best;
  auto found = stray::leak::detect({.off = off});
  for (const stray::leak::finding& f : found->list) {
    if (!best || f.tier > *best) best = f.tier;
  }
  return best;
}

inline void until_all_ended() {
  while (stray::num_goroutine() != 0) stray::yield();
}

// take gives the holder back, so that the goroutine ends and the next test starts clean.
inline void expect_root(unsigned off, const std::function<void(holder*)>& put, const std::function<holder*()>& take) {
  set_scene(put);
  clear_dead_stack();
  stray::testing::until_parked(1);
  EXPECT_EQ(verdict(), std::nullopt) << "the place is not seen";
  EXPECT_TRUE(verdict(off).has_value()) << "another root hides that the place is needed";
  EXPECT_EQ(verdict(off | bit(root::orphans)), tier::proven);
  holder* h = take();
  h->ch.close();
  delete h;
  until_all_ended();
}

inline void expect_root(root source, const std::function<void(holder*)>& put, const std::function<holder*()>& take) {
  expect_root(bit(source), put, take);
}

// Starts a goroutine that waits on a channel in a block of its own; `put` stores the block's address. parked: as many wait then, with those of
// the scene.
inline void start_owner(const std::function<void(holder*)>& put, std::size_t parked = 1) {
  stray::go([&put] {
    auto own = std::make_unique<holder>(holder{stray::make_chan<int>()});
    put(own.get());
    own->ch.recv();
  });
  stray::testing::until_parked(parked);
  clear_dead_stack();
}

// Nothing is hidden, as far as the detector may know: proven.
inline void expect_proven_of_own_block(const std::function<void(holder*)>& put, const std::function<holder*()>& take) {
  start_owner(put);
  EXPECT_EQ(verdict(), tier::proven);
  take()->ch.close();
  until_all_ended();
}

// The waiter itself owns the block, so it is no orphan: without the source the wrong verdict is proven.
inline void expect_root_of_own_block(root source, const std::function<void(holder*)>& put,
                                     const std::function<holder*()>& take) {
  start_owner(put);
  EXPECT_EQ(verdict(), std::nullopt) << "the place is not seen";
  EXPECT_EQ(verdict(bit(source)), tier::proven);
  take()->ch.close();
  until_all_ended();
}

// The waiter itself owns the block. The place can be told from memory that means nothing only so far that the verdict is likely, which is
// said; without the source it is proven, and wrong.
inline void expect_likely(unsigned off, const std::function<void(holder*)>& put, const std::function<holder*()>& take,
                          std::string_view place = "", std::size_t parked = 1) {
  start_owner(put, parked);
  auto found = stray::leak::detect();
  ASSERT_EQ(found->list.size(), 1u);
  EXPECT_EQ(found->list[0].tier, tier::likely);
  EXPECT_NE(found->list[0].place.find(place), std::string::npos) << found->list[0].place;
  EXPECT_EQ(verdict(off), tier::proven) << "another rule hides that the place is needed";
  take()->ch.close();
  until_all_ended();
}

inline void expect_likely(root source, const std::function<void(holder*)>& put, const std::function<holder*()>& take,
                          std::string_view place = "") {
  expect_likely(bit(source), put, take, place);
}

}  // namespace ablation
