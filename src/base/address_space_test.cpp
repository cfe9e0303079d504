// Slabs: items have stable addresses and indices, are zero when first handed out, and come back from the free list.
#include "base/address_space.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace stray::base {
namespace {

struct item {
  item* link;
  std::uintptr_t payload[7];
};

TEST(slab, hands_out_zeroed_items_of_one_range_and_never_slot_zero) {
  static constinit slab<item> s(1 << 20);  // where the reservation shrinks (TSan's layout) the slab does, too
  EXPECT_EQ(s.used(), 0u);
  std::set<item*> seen;
  for (std::size_t i = 1; i <= 2000; i++) {
    item* t = s.alloc();
    ASSERT_NE(t, nullptr);
    EXPECT_TRUE(seen.insert(t).second);
    EXPECT_EQ(s.index(t), i);
    EXPECT_EQ(s.at(i), t);
    EXPECT_TRUE(s.where().holds(reinterpret_cast<std::uintptr_t>(t)));
    EXPECT_EQ(t->link, nullptr);
    EXPECT_TRUE(std::all_of(t->payload, t->payload + 7, [](std::uintptr_t w) { return w == 0; }));
    t->payload[6] = i;
  }
  EXPECT_EQ(s.used(), 2001u);
  EXPECT_TRUE(reservation().holds(s.where().lo));
  EXPECT_TRUE(reservation().holds(s.where().hi - 1));
}

// The flags of the mapping that holds the address.
std::string flags_of(std::uintptr_t address) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool here = false;
  while (std::getline(smaps, line)) {
    unsigned long lo = 0, hi = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &lo, &hi) == 2) here = address >= lo && address < hi;
    if (here && line.starts_with("VmFlags:")) return line + ' ';
  }
  return "no such mapping";
}

TEST(address_space, only_what_is_usable_gets_into_a_core_file) {
  range r = carve(4 * page_size);
  EXPECT_NE(flags_of(r.lo).find(" dd "), std::string::npos) << flags_of(r.lo);
  ASSERT_TRUE(commit(r.lo, page_size));
  EXPECT_EQ(flags_of(r.lo).find(" dd "), std::string::npos) << flags_of(r.lo);
  EXPECT_NE(flags_of(r.lo + page_size).find(" dd "), std::string::npos) << flags_of(r.lo + page_size);
}

TEST(slab, released_items_come_back_last_first_with_a_clear_link) {
  static constinit slab<item> s(64);
  item *a = s.alloc(), *b = s.alloc();
  a->payload[0] = 7;
  s.release(a);
  s.release(b);
  EXPECT_EQ(s.alloc(), b);
  item* again = s.alloc();
  EXPECT_EQ(again, a);
  EXPECT_EQ(again->link, nullptr);
  EXPECT_EQ(again->payload[0], 7u);  // the rest keeps its bytes
  EXPECT_EQ(s.used(), 3u);
}

TEST(slab, answers_nullptr_when_full) {
  static constinit slab<item> s(64);
  std::size_t n = 0;
  while (s.alloc() != nullptr) n++;
  EXPECT_GE(n, 1u);
  EXPECT_LE(n, 64u);
  EXPECT_EQ(s.alloc(), nullptr);
  s.release(s.at(1));
  EXPECT_EQ(s.alloc(), s.at(1));
}

TEST(slab, threads_never_share_an_item) {
  static constinit slab<item> s(1024);
  std::atomic<int> clashes{0};
  std::vector<std::thread> threads;
  for (std::uintptr_t me = 1; me <= 4; me++) {
    threads.emplace_back([me, &clashes] {
      item* mine[8];
      for (int round = 0; round < 2000; round++) {
        for (item*& t : mine) {
          t = s.alloc();
          t->payload[1] = me;
        }
        for (item* t : mine) {
          if (t->payload[1] != me) clashes++;
          s.release(t);
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(clashes, 0);
  EXPECT_LE(s.used(), 4u * 8 + 1);
}

TEST(carve, gives_disjoint_untouched_ranges) {
  range a = carve(2 * page_size), b = carve(page_size);
  EXPECT_EQ(a.size(), 2 * page_size);
  EXPECT_LE(a.hi, b.lo);
  EXPECT_FALSE(a.holds(b.lo));
  EXPECT_FALSE(a.holds(a.hi));
  EXPECT_FALSE(a.holds(a.lo - 1));
  ASSERT_TRUE(commit(a.lo, a.size()));
  *reinterpret_cast<int*>(a.hi - 8) = 5;
  EXPECT_EQ(*reinterpret_cast<int*>(a.lo), 0);
}

TEST(range, of_nothing_holds_nothing) {
  range none;
  EXPECT_EQ(none.size(), 0u);
  EXPECT_FALSE(none.holds(0));
  EXPECT_FALSE(none.holds(~std::uintptr_t{0}));
}

}  // namespace
}  // namespace stray::base
