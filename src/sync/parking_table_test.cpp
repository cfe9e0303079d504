// A bucket of the parking table: one queue an address, any number of addresses in one bucket, O(1) at both ends.
#include "sync/parking_table.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

namespace stray::sync {
namespace {

// The first `n` addresses that share a bucket.
std::vector<std::uintptr_t> colliding(std::size_t n) {
  std::vector<std::uintptr_t> found;
  parking_bucket* bucket = nullptr;
  for (std::uintptr_t at = 0x10000; found.size() < n; at += 8) {
    parking_bucket& b = bucket_of(reinterpret_cast<void*>(at));
    if (bucket == nullptr) bucket = &b;
    if (&b == bucket) found.push_back(at);
  }
  return found;
}
parking_bucket& bucket_at(std::uintptr_t address) { return bucket_of(reinterpret_cast<void*>(address)); }

std::vector<wait_node*> queue_of(std::uintptr_t address) {
  std::vector<wait_node*> found;
  for (wait_node* n = bucket_at(address).first(address); n != nullptr; n = n->next) found.push_back(n);
  return found;
}

TEST(parking_table, spreads_neighbours_and_keeps_its_answer) {
  std::vector<parking_bucket*> seen;
  for (std::uintptr_t at = 0x7f00'0000'0000; at < 0x7f00'0000'0000 + 8 * 1000; at += 8) {
    EXPECT_EQ(&bucket_at(at), &bucket_at(at));
    seen.push_back(&bucket_at(at));
  }
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  EXPECT_GT(seen.size(), 500u);
}

TEST(parking_table, keeps_the_order_of_one_address) {
  std::uintptr_t at = 0x20000;
  wait_node n[5];
  for (wait_node& x : n) x.primitive = at;
  parking_bucket& b = bucket_at(at);
  EXPECT_EQ(b.first(at), nullptr);
  b.push_back(&n[1]);
  b.push_back(&n[2]);
  b.push_front(&n[0]);
  b.push_back(&n[3]);
  EXPECT_EQ(queue_of(at), (std::vector<wait_node*>{&n[0], &n[1], &n[2], &n[3]}));
  b.remove(&n[0]);  // the lead
  b.remove(&n[2]);  // from the middle
  b.remove(&n[3]);  // the last
  b.push_back(&n[4]);
  EXPECT_EQ(queue_of(at), (std::vector<wait_node*>{&n[1], &n[4]}));
  EXPECT_TRUE(n[1].linked);
  EXPECT_FALSE(n[2].linked);
  b.remove(&n[1]);
  b.remove(&n[4]);
  EXPECT_EQ(b.first(at), nullptr);
  EXPECT_EQ(b.leads, nullptr);
  b.push_front(&n[2]);  // into an empty queue
  EXPECT_EQ(b.first(at), &n[2]);
  b.remove(&n[2]);
}

TEST(parking_table, keeps_addresses_of_one_bucket_apart) {
  std::vector<std::uintptr_t> at = colliding(4);
  parking_bucket& b = bucket_at(at[0]);
  std::vector<wait_node> n(12);
  for (std::size_t i = 0; i < n.size(); i++) {
    n[i].primitive = at[i % 4];
    b.push_back(&n[i]);
  }
  for (std::size_t k = 0; k < 4; k++) EXPECT_EQ(queue_of(at[k]), (std::vector<wait_node*>{&n[k], &n[k + 4], &n[k + 8]}));
  for (std::size_t i = 1; i < n.size(); i += 4) b.remove(&n[i]);
  EXPECT_EQ(b.first(at[1]), nullptr);
  for (std::size_t k : {0u, 2u, 3u}) EXPECT_EQ(queue_of(at[k]).size(), 3u);
  for (wait_node& x : n) {
    if (x.linked) b.remove(&x);
  }
  EXPECT_EQ(b.leads, nullptr);
}

TEST(parking_table, agrees_with_a_reference_in_any_order) {
  std::vector<std::uintptr_t> at = colliding(10);
  parking_bucket& b = bucket_at(at[0]);
  for (std::uint32_t seed = 1; seed <= 50; seed++) {
    std::mt19937 random(seed);
    std::vector<wait_node> nodes(60);
    std::map<std::uintptr_t, std::deque<wait_node*>> reference;
    for (int step = 0; step < 1000; step++) {
      wait_node& n = nodes[random() % nodes.size()];
      if (n.linked) {
        auto& q = reference[n.primitive];
        q.erase(std::find(q.begin(), q.end(), &n));
        b.remove(&n);
        ASSERT_FALSE(n.linked);
      } else {
        n.primitive = at[random() % at.size()];
        if (random() % 3 == 0) {
          b.push_front(&n);
          reference[n.primitive].push_front(&n);
        } else {
          b.push_back(&n);
          reference[n.primitive].push_back(&n);
        }
        ASSERT_TRUE(n.linked);
      }
      for (std::uintptr_t a : at) {
        const auto& q = reference[a];
        ASSERT_EQ(queue_of(a), std::vector<wait_node*>(q.begin(), q.end())) << "seed " << seed << " step " << step;
      }
    }
    for (wait_node& n : nodes) {
      if (n.linked) b.remove(&n);
    }
    ASSERT_EQ(b.leads, nullptr);
  }
}

}  // namespace
}  // namespace stray::sync
