// malloc through the map: does what malloc does, and the detector knows each block, whatever happens around it. This program links the
// map over glibc, whose own functions (__libc_malloc) stand for an allocator's that pass the map by.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "trace/malloc_map.h"
#include "trace/roots_case.h"

extern "C" stray::trace::malloc_map stray_malloc_map;
extern "C" void* __libc_malloc(std::size_t);

namespace stray::trace {
namespace {

using namespace test;

// Called through these, so that the compiler does not know what they do.
void* (*volatile take)(std::size_t) = std::malloc;
void (*volatile give)(void*) = std::free;
void* (*volatile change)(void*, std::size_t) = std::realloc;

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

TEST(malloc_map, every_function_gives_an_aligned_block_of_the_map) {
  for (std::size_t n : {0, 1, 8, 15, 16, 17, 31, 32, 33, 100, 1000, 4096, 100000, 3000000}) {
    std::vector<void*> blocks{take(n),
                              std::calloc(n, 1),
                              std::realloc(nullptr, n),
                              reallocarray(nullptr, n, 1),
                              std::aligned_alloc(64, n),
                              memalign(32, n),
                              valloc(n),
                              pvalloc(n),
                              ::operator new(n),
                              ::operator new(n, std::align_val_t{128})};
    for (std::size_t alignment = sizeof(void*); alignment <= 65536; alignment *= 2) {
      void* p = nullptr;
      ASSERT_EQ(posix_memalign(&p, alignment, n), 0);
      EXPECT_EQ(address(p) % alignment, 0u) << alignment;
      blocks.push_back(p);
    }
    EXPECT_EQ(address(blocks[4]) % 64, 0u);
    EXPECT_EQ(address(blocks[6]) % 4096, 0u);
    EXPECT_EQ(address(blocks[7]) % 4096, 0u);
    EXPECT_EQ(address(blocks[9]) % 128, 0u);
    for (std::size_t i = 0; i < blocks.size(); i++) {
      void* p = blocks[i];
      ASSERT_NE(p, nullptr);
      EXPECT_EQ(address(p) % 16, 0u);
      EXPECT_TRUE(stray_malloc_map.holds(p)) << n << ", block " << i;
      EXPECT_GE(malloc_usable_size(p), n);
      EXPECT_LT(malloc_usable_size(p), i == 7 ? n + 4096 + 1 : n + 9);
      std::memset(p, static_cast<int>(i), malloc_usable_size(p));
    }
    for (std::size_t i = 0; i < blocks.size(); i++) {
      for (std::size_t at = 0; at < n; at += 97) ASSERT_EQ(static_cast<unsigned char*>(blocks[i])[at], i);
    }
    for (void* p : blocks) {
      give(p);
      EXPECT_FALSE(stray_malloc_map.holds(p));
    }
  }
}

TEST(malloc_map, calloc_is_zero_where_memory_is_used_again) {
  for (int i = 0; i < 200; i++) {
    void* p = take(500);
    std::memset(p, 255, 500);
    give(p);
    auto* q = static_cast<unsigned char*>(std::calloc(5, 100));
    for (int k = 0; k < 500; k++) ASSERT_EQ(q[k], 0);
    give(q);
  }
}

TEST(malloc_map, realloc_keeps_what_fits) {
  auto* p = static_cast<unsigned char*>(take(10));
  for (unsigned char i = 0; i < 10; i++) p[i] = i;
  for (std::size_t n : {11, 16, 17, 500, 300000, 2000000, 40, 10}) {
    p = static_cast<unsigned char*>(std::realloc(p, n));
    ASSERT_NE(p, nullptr);
    EXPECT_TRUE(stray_malloc_map.holds(p));
    for (unsigned char i = 0; i < 10; i++) ASSERT_EQ(p[i], i);
  }
  EXPECT_EQ(std::realloc(p, 0), nullptr);
  EXPECT_FALSE(stray_malloc_map.holds(p));
}

TEST(malloc_map, what_cannot_be_had_is_refused_in_the_ways_of_the_standards) {
  volatile std::size_t huge = SIZE_MAX - 100, half = SIZE_MAX / 2, more = std::size_t{1} << 46;
  for (std::size_t n : {std::size_t{huge}, std::size_t{half}, std::size_t{more}}) {
    errno = 0;
    EXPECT_EQ(take(n), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(::operator new(n, std::nothrow), nullptr);
    EXPECT_THROW(::operator delete(::operator new(n)), std::bad_alloc);
  }
  errno = 0;
  EXPECT_EQ(std::calloc(half, 3), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(pvalloc(huge), nullptr);
  void* kept = take(20);
  EXPECT_EQ(change(kept, huge), nullptr);
  void* (*volatile change_array)(void*, std::size_t, std::size_t) = reallocarray;
  EXPECT_EQ(change_array(kept, half, 3), nullptr);
  EXPECT_TRUE(stray_malloc_map.holds(kept));
  give(kept);
  int untouched = 0;
  void* p = &untouched;
  errno = 0;
  EXPECT_EQ(posix_memalign(&p, 24, 100), EINVAL);
  EXPECT_EQ(posix_memalign(&p, 64, huge), ENOMEM);
  EXPECT_EQ(p, &untouched) << "the result is left alone";
  EXPECT_EQ(errno, 0) << "and so is errno";
}

TEST(malloc_map, operator_new_asks_the_handler) {
  static int calls;
  calls = 0;
  std::set_new_handler([] {
    if (++calls == 3) std::set_new_handler(nullptr);
  });
  volatile std::size_t more = std::size_t{1} << 46;
  EXPECT_THROW(::operator delete(::operator new(more)), std::bad_alloc);
  EXPECT_EQ(calls, 3);
}

TEST(malloc_map, blocks_that_passed_it_by_may_come_back_through_it) {
  void* p = __libc_malloc(100);
  EXPECT_FALSE(stray_malloc_map.holds(p));
  EXPECT_GE(malloc_usable_size(p), 100u);
  p = std::realloc(p, 200);
  EXPECT_FALSE(stray_malloc_map.holds(p));
  give(p);
  give(nullptr);
  EXPECT_EQ(malloc_usable_size(nullptr), 0u);
}

TEST(malloc_map, errno_survives_free) {
  for (std::size_t n : {10, 1000000}) {
    void* p = take(n);
    errno = 77;
    give(p);
    EXPECT_EQ(errno, 77);
  }
}

TEST(malloc_map_death, a_write_before_the_begin_is_named_at_free) {
  auto* p = static_cast<volatile std::uint64_t*>(take(100));
  EXPECT_DEATH(
      {
        p[-1] = 4711;
        give(const_cast<std::uint64_t*>(p));
      },
      "header was overwritten");
  give(const_cast<std::uint64_t*>(p));
}

// --- what the detector sees -------------------------------------------------------------------------------------------------------------

// One word in .bss, which is a root; a word to a block that is none keeps that block only.
volatile std::uintptr_t the_word;

// In a block of `n` bytes from `f` that nobody points to, unless `pointed`: is the target found?
struct map_case : roots_case {
  void* holder = nullptr;
  void hold(void* block, std::size_t at = 0) {
    holder = block;
    PLANT(static_cast<char*>(block) + at);
  }
  void TearDown() override {
    the_word = 0;
    roots_case::TearDown();
  }
  // Does the word `holder + offset` keep the holder alive?
  bool kept_by(std::ptrdiff_t offset) {
    the_word = address(holder) + static_cast<std::uintptr_t>(offset);
    bool live = found();
    the_word = 0;
    return live;
  }
};

TEST_F(map_case, a_block_is_alive_by_words_into_it) {
  hold(std::calloc(1, 64), 40);
  EXPECT_FALSE(found());
  for (std::ptrdiff_t in : {0, 8, 40, 63, 64, -8, -16}) EXPECT_TRUE(kept_by(in)) << in;
  // Where an allocator's room begins: the address that its own records hold.
  for (std::ptrdiff_t beside : {-17, -24, -32, 80}) EXPECT_FALSE(kept_by(beside)) << beside;
  give(holder);
}

TEST_F(map_case, the_end_of_a_block_is_no_other_blocks_begin) {
  std::array<void*, 64> many{};
  for (std::size_t n : {16, 24, 32, 48, 64, 96, 1024}) {
    for (void*& p : many) p = std::calloc(1, n);  // some lie side by side
    for (void* p : {many[10], many[40], many[63]}) {
      hold(p);
      EXPECT_TRUE(kept_by(static_cast<std::ptrdiff_t>(n))) << n;
      static_cast<std::uintptr_t*>(p)[0] = 0;
    }
    for (void* p : many) give(p);
  }
}

TEST_F(map_case, blocks_that_passed_it_by_are_roots) {
  for (std::size_t n : {16, 64, 5000, 300000}) {
    void* between[3] = {take(n), __libc_malloc(n), take(n)};
    std::memset(between[1], 0, n);
    hold(between[1], n - 8);
    expect_only_by(root::heap_pages, bit(root::anonymous));
    static_cast<std::uintptr_t*>(between[1])[n / 8 - 1] = 0;
    for (void* p : between) give(p);
  }
}

TEST_F(map_case, given_back_memory_is_empty) {
  for (std::size_t n : {48, 1000, 100000, 3000000}) {
    auto* p = static_cast<char*>(std::calloc(1, n));
    hold(p, n / 2 & ~std::size_t{7});
    the_word = address(p);
    EXPECT_TRUE(found());
    give(p);
    EXPECT_FALSE(found()) << n;
  }
}

TEST_F(map_case, a_block_whose_header_was_overwritten_is_a_root) {
  hold(std::calloc(1, 64), 8);
  auto* header = static_cast<std::uint64_t*>(holder) - 2;
  const std::uint64_t was = header[1];
  EXPECT_FALSE(found());
  header[1] += 16;
  EXPECT_TRUE(found());
  bool said = false;
  for (std::uint32_t i = 0; i < last.notes->used; i++)
    said = said || contains(last.notes->notes[i].line, "1 heap blocks have a header");
  EXPECT_TRUE(said);
  header[1] = was;
  EXPECT_FALSE(found());
  give(holder);
}

TEST_F(map_case, a_block_in_pages_that_cannot_be_read_is_known) {
  void* page = nullptr;
  ASSERT_EQ(posix_memalign(&page, 4096, 4096), 0);
  std::memset(page, 0, 4096);
  hold(page, 80);
  the_word = address(page);
  mprotect(page, 4096, PROT_NONE);
  EXPECT_TRUE(found());
  the_word = 0;
  EXPECT_FALSE(found());
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
  give(page);
}

// A block of the map's form in memory that the map did not make.
struct made_block {
  explicit made_block(void* at, std::size_t bytes) : user(at) {
    static_cast<block_header*>(at)[-1] = block_header::of(address(at), block_header::before, bytes);
    set(1);
  }
  ~made_block() { set(0); }
  made_block(const made_block&) = delete;
  made_block& operator=(const made_block&) = delete;
  void set(std::uint8_t to) const { stray_malloc_map.find(user)[malloc_map::index(user)].store(to); }
  void* user;
};

TEST_F(map_case, what_lies_between_blocks_of_a_page_is_a_root) {
  auto* room = static_cast<char*>(__libc_malloc(8192));
  std::memset(room, 0, 8192);
  ASSERT_NE(stray_malloc_map.find(room), nullptr);
  ASSERT_NE(stray_malloc_map.find(room + 8192), nullptr);
  made_block low(room + 512, 64), high(room + 1024, 64);
  hold(room + 600);
  expect_only_by(root::heap_pages, bit(root::anonymous));
  static_cast<std::uintptr_t*>(holder)[0] = 0;
  hold(room + 540);
  EXPECT_FALSE(found()) << "but a block is not";
  give(room);
}

TEST_F(map_case, a_block_in_shared_memory_is_a_root) {  // as an allocator makes it that takes its memory from a file
  void* room = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* p = static_cast<char*>(room) + 64;
  if (stray_malloc_map.find(p) == nullptr) GTEST_SKIP() << "no segment of the map reaches there";
  made_block block(p, 64);
  hold(p + 16);
  expect_only_by(root::shared);
  munmap(room, 8192);
}

// --- under load -------------------------------------------------------------------------------------------------------------------------

struct slot {
  std::atomic<unsigned char*> at{nullptr};
  std::size_t bytes = 0;  // of the block, behind its own two first words
};
constexpr std::size_t slots = 2000;

std::uint64_t next_random(std::uint64_t& s) {
  s ^= s << 13;
  s ^= s >> 7;
  return s ^= s << 17;
}

unsigned char* fill(unsigned char* p, std::size_t n) {
  for (std::size_t i = 0; i < n; i++) p[i] = static_cast<unsigned char>(address(p) >> 4);
  return p;
}
bool is_filled(const unsigned char* p, std::size_t n, const unsigned char* with) {
  for (std::size_t i = 0; i < n; i++) {
    if (p[i] != static_cast<unsigned char>(address(with) >> 4)) return false;
  }
  return true;
}

// Each thread takes blocks out of slots that others filled, looks whether they are whole, and puts others in.
struct churn {
  std::vector<slot> at{slots};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> broken{0}, rounds{0};
  std::vector<std::thread> threads;

  explicit churn(int n) {
    for (int i = 1; i <= n; i++) {
      threads.emplace_back([this, i] {
        std::uint64_t s = 0x9e3779b97f4a7c15u * static_cast<unsigned>(i);
        while (!stop.load(std::memory_order_relaxed)) step(s);
      });
    }
  }
  void step(std::uint64_t& s) {
    const std::uint64_t c = next_random(s);
    std::size_t n = 16 + c % (c % 50 == 0 ? 400000 : c % 3 == 0 ? 3000 : 200);
    unsigned char* p = nullptr;
    if (c % 7 == 0) {
      p = static_cast<unsigned char*>(std::aligned_alloc(std::size_t{16} << (c % 9), n));
    } else if (c % 7 == 1) {
      p = static_cast<unsigned char*>(::operator new(n));
    } else {
      p = static_cast<unsigned char*>(take(n));
    }
    fill(p + 16, n - 16);
    std::memcpy(p, &n, sizeof n);
    unsigned char* old = at[c / 64 % slots].at.exchange(p);
    rounds.fetch_add(1, std::memory_order_relaxed);
    if (old == nullptr) return;
    std::memcpy(&n, old, sizeof n);
    if (!is_filled(old + 16, n - 16, old + 16)) broken.fetch_add(1);
    if (c % 11 == 0) {
      const std::size_t less = 16 + (n - 16) / 2;
      const unsigned char with = n > 16 ? old[16] : 0;
      old = static_cast<unsigned char*>(std::realloc(old, less));
      for (std::size_t i = 16; i < less; i++) {
        if (old[i] != with) broken.fetch_add(1);
      }
    }
    give(old);
  }
  ~churn() {
    stop.store(true);
    for (std::thread& t : threads) t.join();
    for (slot& s : at) give(s.at.load());
  }
};

struct tally {
  std::uint64_t live, unknown, other;
  bool heap_known;
};
struct question {
  churn* of;
  tally* result;
};

TEST(malloc_map, the_detector_knows_each_live_block_of_running_threads) {
  ASSERT_TRUE(init_snapshot());
  churn load(4);
  while (load.rounds.load() < 20000) std::this_thread::yield();
  shared_with_child<tally> result;
  question q{&load, &*result};
  for (int i = 0; i < 60; i++) {
    snapshot_request request;
    request.who = blank_client();
    request.decide = [](void* arg, image& in) noexcept {
      auto& x = *static_cast<question*>(arg);
      tally& r = *x.result;
      r.heap_known = in.heap_known;
      for (const slot& s : x.of->at) {
        const std::uintptr_t user = address(s.at.load());
        if (user == 0) continue;
        r.live++;
        range bytes;
        if (!in.blocks.in_use(user) || !in.blocks.block_of(user + 8, bytes) || bytes.lo != user) {
          r.unknown++;
        } else if (bytes.size() < *reinterpret_cast<const std::size_t*>(user) ||
                   bytes.size() > *reinterpret_cast<const std::size_t*>(user) + 8) {
          r.other++;
        }
      }
    };
    request.arg = &q;
    request.hidden = result.hidden();
    snapshot_outcome out = take_snapshot(request);
    ASSERT_TRUE(out.ok) << out.why;
    EXPECT_TRUE(result->heap_known);
  }
  EXPECT_GT(result->live, 60 * slots / 2);
  EXPECT_EQ(result->unknown, 0u);
  EXPECT_EQ(result->other, 0u);
  EXPECT_EQ(load.broken.load(), 0u);
  std::printf("  %llu blocks in 60 snapshots, %llu calls beside\n", static_cast<unsigned long long>(result->live),
              static_cast<unsigned long long>(load.rounds.load()));
}

}  // namespace
}  // namespace stray::trace
