// The walk against the truth: threads keep their own table of live blocks, and every one of them must be an in-use block of at least
// the size asked for, at whatever instruction of malloc the threads were stopped.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <malloc.h>
#include <memory>
#include <sys/mman.h>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "trace/test_support.h"

namespace stray::trace {
namespace {

using test::shared_with_child;

constexpr std::size_t slots = 4096;

struct live_table {
  volatile std::uintptr_t at[slots];
  volatile std::size_t size[slots];
  std::atomic<std::uint64_t> operations;
};

std::uint64_t next_random(std::uint64_t& s) {
  s ^= s << 13;
  s ^= s >> 7;
  s ^= s << 17;
  return s;
}

// One random step on a table; the entry says less than the truth in between, never more.
void step(live_table& t, std::uint64_t& s, bool huge) {
  std::size_t i = next_random(s) % slots;
  std::uint64_t c = next_random(s) % 1000;
  std::size_t size = c < 500            ? 1 + next_random(s) % 128
                     : c < 800          ? 1 + next_random(s) % 1024
                     : c < 997 || !huge ? 1 + next_random(s) % 20000
                                        : 1 + next_random(s) % 600000;
  std::uintptr_t old = t.at[i];
  auto set = [&](void* p) {
    t.size[i] = size;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t.at[i] = reinterpret_cast<std::uintptr_t>(p);
  };
  if (old != 0) {
    t.at[i] = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (c % 3 == 0) {
      set(std::realloc(reinterpret_cast<void*>(old), size));
    } else {
      std::free(reinterpret_cast<void*>(old));
    }
  } else if (c % 31 == 0) {
    void* p = nullptr;
    if (posix_memalign(&p, std::size_t{64} << (c % 8), size) == 0) set(p);
  } else {
    set(c % 5 == 0 ? std::calloc(1, size) : std::malloc(size));
  }
  t.operations.fetch_add(1);
}

struct tables {
  explicit tables(std::size_t n) : count(n) {
    at = static_cast<live_table*>(
        mmap(nullptr, n * sizeof(live_table), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  ~tables() { munmap(at, count * sizeof(live_table)); }
  tables(const tables&) = delete;
  tables& operator=(const tables&) = delete;
  live_table* at;
  std::size_t count;
};

struct findings {
  std::size_t live, missing, short_by_size, unclaimed, merged, in_use;
  std::uintptr_t first_missing, found_instead, head, asked, own_head;
  bool heap_known;
};
struct question {
  const tables* truth;
  findings* answer;
};

void compare(void* arg, image& in) noexcept {
  auto& q = *static_cast<question*>(arg);
  findings& f = *q.answer;
  f = {};
  f.heap_known = in.heap_known;
  in.blocks.each_in_use([&](std::uintptr_t) { f.in_use++; });
  for (std::size_t t = 0; t < q.truth->count; t++) {
    const live_table& table = q.truth->at[t];
    for (std::size_t i = 0; i < slots; i++) {
      std::uintptr_t user = table.at[i];
      if (user == 0) continue;
      f.live++;
      bool claimed = false;
      for (const range& r : in.claimed) claimed |= r.holds(user);
      if (!claimed) {
        f.unclaimed++;
        continue;
      }
      range bytes;
      if (in.blocks.block_of(user, bytes) && bytes.lo < user &&
          (*reinterpret_cast<std::uintptr_t*>(bytes.lo - 8) & *reinterpret_cast<std::uintptr_t*>(user - 8) & 2) != 0) {
        f.merged++;  // invariant 6 of heap_glibc.cpp
      } else if (!in.blocks.block_of(user + table.size[i] / 2, bytes) || bytes.lo != user || !in.blocks.in_use(user)) {
        if (f.missing++ == 0) {
          f.first_missing = user;
          f.asked = table.size[i];
          f.own_head = *reinterpret_cast<std::uintptr_t*>(user - 8);
          f.found_instead = in.blocks.find(user).block;
          if (f.found_instead != 0) f.head = *reinterpret_cast<std::uintptr_t*>(f.found_instead - 8);
        }
      } else if (bytes.size() < table.size[i]) {
        f.short_by_size++;
      }
    }
  }
}

class workers {
 public:
  workers(tables& t, bool huge) {
    for (std::size_t i = 0; i < t.count; i++) {
      threads_.emplace_back([this, &t, i, huge] {
        std::uint64_t s = 0x9e3779b97f4a7c15u * (i + 1);
        while (!stop_.load()) step(t.at[i], s, huge);
      });
    }
    for (std::size_t i = 0; i < t.count; i++) {
      while (t.at[i].operations.load() < 20000) std::this_thread::yield();
    }
  }
  ~workers() {
    stop_.store(true);
    for (auto& t : threads_) t.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

void release_all(tables& t) {
  for (std::size_t i = 0; i < t.count; i++) {
    for (std::size_t k = 0; k < slots; k++) std::free(reinterpret_cast<void*>(t.at[i].at[k]));
  }
}

TEST(heap_glibc, knows_every_live_block_of_a_quiet_heap) {
  ASSERT_TRUE(init_snapshot());
  auto truth = std::make_unique<tables>(6);
  { workers w(*truth, true); }
  shared_with_child<findings> answer;
  question q{truth.get(), &*answer};
  snapshot_request request;
  request.who = test::blank_client();
  request.decide = compare;
  request.arg = &q;
  request.hidden = answer.hidden();
  snapshot_outcome out = take_snapshot(request);
  test::print_notes(out);
  ASSERT_TRUE(out.ok) << out.why;
  EXPECT_TRUE(answer->heap_known);
  EXPECT_GT(answer->live, 6u * 1000);
  EXPECT_EQ(answer->missing, 0u) << std::hex << answer->first_missing;
  EXPECT_EQ(answer->short_by_size, 0u);
  EXPECT_EQ(answer->unclaimed, 0u);
  // What is in use beyond the truth: tcaches, FILEs, threads, gtest's own; frees in bins and caches are not.
  EXPECT_LT(answer->in_use, answer->live + 20000);
  std::printf("  live %zu, in use %zu, blocks %llu, walk %.2f ms, pause %.2f ms\n", answer->live, answer->in_use,
              static_cast<unsigned long long>(out.blocks), static_cast<double>(out.walk_ns) / 1e6,
              static_cast<double>(out.pause_ns) / 1e6);
  release_all(*truth);
}

TEST(heap_glibc, cached_frees_are_not_in_use) {
  ASSERT_TRUE(init_snapshot());
  struct seen {
    bool first, second, kept;
  };
  shared_with_child<seen> answer;
  // 0x60: tcache takes 7, a fastbin the eighth; a ninth stays in use.
  std::uintptr_t p[9];
  for (auto& x : p) x = ~reinterpret_cast<std::uintptr_t>(std::malloc(0x60 - 8));
  for (int i = 0; i < 8; i++) std::free(reinterpret_cast<void*>(~p[i]));
  struct ask {
    std::uintptr_t* p;
    seen* out;
  } a{p, &*answer};
  snapshot_request request;
  request.who = test::blank_client();
  request.decide = [](void* arg, image& in) noexcept {
    auto& q = *static_cast<ask*>(arg);
    *q.out = {in.blocks.in_use(~q.p[0]), in.blocks.in_use(~q.p[7]), in.blocks.in_use(~q.p[8])};
  };
  request.arg = &a;
  request.hidden = answer.hidden();
  snapshot_outcome out = take_snapshot(request);
  ASSERT_TRUE(out.ok) << out.why;
  EXPECT_FALSE(answer->first) << "in the tcache";
  EXPECT_FALSE(answer->second) << "in a fastbin";
  EXPECT_TRUE(answer->kept);
  std::free(reinterpret_cast<void*>(~p[8]));
}

TEST(heap_glibc, mmapped_chunks_and_their_neighbours) {
  ASSERT_TRUE(init_snapshot());
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  std::vector<std::pair<std::uintptr_t, std::size_t>> big;
  for (std::size_t i = 0; i < 40; i++) {
    std::size_t size = (200 << 10) + i * 5000;
    void* p = nullptr;
    if (i % 4 == 1) {
      ASSERT_EQ(posix_memalign(&p, std::size_t{32} << (i / 4), size), 0);
    } else {
      p = std::malloc(size);
    }
    std::memset(p, 0x5a, size);
    if (i % 4 == 2) {
      size *= 3;
      p = std::realloc(p, size);
    }
    big.emplace_back(reinterpret_cast<std::uintptr_t>(p), size);
  }
  struct seen {
    std::size_t wrong_start, wrong_size, beyond, inside, in_table;
  };
  shared_with_child<seen> answer;
  struct ask {
    decltype(big)* blocks;
    seen* out;
  } a{&big, &*answer};
  snapshot_request request;
  request.who = test::blank_client();
  request.decide = [](void* arg, image& in) noexcept {
    auto& q = *static_cast<ask*>(arg);
    for (auto& [user, size] : *q.blocks) {
      range bytes;
      if (!in.blocks.block_of(user, bytes) || bytes.lo != user) {
        q.out->wrong_start++;
        continue;
      }
      if (bytes.size() < size || bytes.size() > size + 70000) q.out->wrong_size++;
      range inner;
      if (!in.blocks.block_of(user + size - 1, inner) || inner.lo != user) q.out->inside++;
      std::uintptr_t behind = (user + bytes.size() + 4095) & ~std::uintptr_t{4095};
      if (in.blocks.block_of(behind + 64, inner) && inner.lo == user) q.out->beyond++;
    }
  };
  request.arg = &a;
  request.hidden = answer.hidden();
  snapshot_outcome out = take_snapshot(request);
  test::print_notes(out);
  ASSERT_TRUE(out.ok) << out.why;
  EXPECT_EQ(answer->wrong_start, 0u);
  EXPECT_EQ(answer->wrong_size, 0u);
  EXPECT_EQ(answer->inside, 0u);
  EXPECT_EQ(answer->beyond, 0u);
  for (auto& [user, size] : big) std::free(reinterpret_cast<void*>(user));
}

// A hole in [heap]: memory of the program's own from sbrk, whose words may be anything.
TEST(heap_glibc, a_hole_that_looks_like_a_free_chunk_is_a_root) {
  ASSERT_TRUE(init_snapshot());
  struct found {
    std::uintptr_t complement, hole;
    bool marked, block, walked;
  };
  struct record {
    std::uintptr_t id, count, from, flag, length, next;
  };
  test::shared_with_child<found> out;
  out->complement = ~reinterpret_cast<std::uintptr_t>(std::calloc(1, 48));
  auto* hole = static_cast<record*>(sbrk(4096));
  if (hole == reinterpret_cast<record*>(-1)) GTEST_SKIP() << "no room behind [heap]";
  std::vector<void*> behind;
  for (int i = 0; i < 20; i++) behind.push_back(std::malloc(100'000));
  // As a free chunk of 32 bytes before a fencepost, of either sort; as one in use; as the end of an old top.
  for (record shape : {record{0, 33, 0, 1, 32, 0}, record{0, 33, 0, 1, 32, 17}, record{0, 33, 0, 1, 0, 17},
                       record{0, 33, 0, 1, 0, 1}, record{0, 49, 0, 1, 0, 17}}) {
    *hole = shape;
    asm volatile(
        "mov (%[c]), %%rax; not %%rax; mov %%rax, (%[s]); xor %%eax, %%eax" ::[c] "r"(&out->complement), [s] "r"(&hole->from)
        : "rax", "memory");
    snapshot_request request;
    request.who = test::blank_client();
    request.decide = [](void* arg, image& in) noexcept {
      auto& f = *static_cast<found*>(arg);
      marker m(in);
      m.mark_roots();
      f.marked = in.blocks.marked(~f.complement);
      f.block = in.blocks.in_use(f.hole + 16);  // a chunk in use is one that nobody knows: an orphan
      f.walked = in.blocks.in_use(~f.complement);
    };
    request.arg = &*out;
    request.hidden = out.hidden();
    out->hole = reinterpret_cast<std::uintptr_t>(hole);
    out->marked = out->block = false;
    snapshot_outcome outcome = take_snapshot(request);
    ASSERT_TRUE(outcome.ok) << outcome.why;
    EXPECT_TRUE(out->walked) << "the heap before the hole is not known";
    EXPECT_TRUE(out->marked || out->block) << "count " << shape.count << ", length " << shape.length << ", next " << shape.next;
  }
  for (void* p : behind) std::free(p);
  std::free(reinterpret_cast<void*>(~out->complement));
}

TEST(heap_glibc, threads_stopped_inside_malloc_lose_no_block) {
  ASSERT_TRUE(init_snapshot());
  auto truth = std::make_unique<tables>(4);
  shared_with_child<findings> answer;
  question q{truth.get(), &*answer};
  std::size_t live = 0, unclaimed = 0, locked = 0, merged = 0;
  const std::int64_t enough = base::now_ns() + 8'000'000'000;  // on a loaded machine
  std::vector<std::int64_t> pauses;
  {
    workers w(*truth, true);
    for (int round = 0; round < 200 && base::now_ns() < enough; round++) {
      snapshot_request request;
      request.who = test::blank_client();
      request.decide = compare;
      request.arg = &q;
      request.hidden = answer.hidden();
      snapshot_outcome out = take_snapshot(request);
      ASSERT_TRUE(out.ok) << out.why;
      if (out.unstopped != 0) continue;  // a loaded machine
      if (answer->missing + answer->short_by_size != 0) test::print_notes(out);
      ASSERT_EQ(answer->missing, 0u) << "round " << round << " at " << std::hex << answer->first_missing << " found "
                                     << answer->found_instead << " head " << answer->head << " size " << answer->asked
                                     << " own head " << answer->own_head;
      ASSERT_EQ(answer->short_by_size, 0u) << "round " << round;
      live += answer->live;
      unclaimed += answer->unclaimed;
      merged += answer->merged;
      locked += out.stops == 4;
      pauses.push_back(out.pause_ns);
    }
  }
  std::sort(pauses.begin(), pauses.end());
  std::printf(
      "  %zu blocks checked, %zu more in busy arenas, %zu merged; locks waited for in %zu of %zu; pause median %.2f ms, max "
      "%.2f ms\n",
      live, unclaimed, merged, locked, pauses.size(), static_cast<double>(pauses[pauses.size() / 2]) / 1e6,
      static_cast<double>(pauses.back()) / 1e6);
  EXPECT_GT(live, 0u);
  EXPECT_LE(merged, 3u);
  release_all(*truth);
}

}  // namespace
}  // namespace stray::trace
