// The marker over a small real heap. The caller of a snapshot is not scanned, so pointers in these tests' frames hide nothing; those kept
// for the snapshot's child are complemented.
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>

#include "trace/test_support.h"

namespace stray::trace {
namespace {

using test::shared_with_child;

struct node {
  node* next;
  std::uintptr_t payload[5];
};

constexpr int chain_length = 1000;

// The nodes' addresses, complemented, in a mapping that would be a root if they were plain.
struct chain {
  std::uintptr_t hidden[chain_length];
  std::uintptr_t at(int i) const noexcept { return ~hidden[i]; }
};

[[gnu::noinline]] void make_chain(chain& c) {
  node* last = nullptr;
  for (int i = chain_length - 1; i >= 0; i--) {
    auto* n = static_cast<node*>(std::calloc(1, sizeof(node)));
    n->next = last;
    c.hidden[i] = ~reinterpret_cast<std::uintptr_t>(n);
    last = n;
  }
}
void free_chain(chain& c) {
  for (int i = 0; i < chain_length; i++) std::free(reinterpret_cast<void*>(c.at(i)));
}

node* volatile a_global_root;
std::uintptr_t volatile a_global_word;

struct mark_case : ::testing::Test {
  struct result {
    std::size_t marked, reached, orphan_calls, in_use;
    std::size_t hits, located, hidden_located, covered_first;
    bool next_right, first, second, before, after;
    std::size_t words, marked_blocks;
  };
  shared_with_child<result> out;
  chain visible, hidden;
  range interest;

  void SetUp() override {
    ASSERT_TRUE(init_snapshot());
    make_chain(visible);
    make_chain(hidden);
    a_global_root = reinterpret_cast<node*>(visible.at(0));
    void* reserved = mmap(nullptr, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    interest = {reinterpret_cast<std::uintptr_t>(reserved), reinterpret_cast<std::uintptr_t>(reserved) + (1 << 20)};
  }
  void TearDown() override {
    a_global_root = nullptr;
    free_chain(visible);
    free_chain(hidden);
    if (interest.size() != 0) munmap(reinterpret_cast<void*>(interest.lo), interest.size());
  }
  void take(void (*decide)(void*, image&) noexcept, unsigned off = 0) {
    snapshot_request request;
    request.who = test::blank_client();
    request.who.self = this;
    request.who.interest = interest;
    request.who.hit = [](void* self, marker&, const word& w) {
      auto& c = *static_cast<mark_case*>(self);
      c.out->hits++;
      if (w.has_next && w.next == (w.raw ^ w.at)) c.out->next_right = true;
    };
    request.who.locate = [](void* self, const word& w) {  // the fixture itself holds interest.lo
      auto& c = *static_cast<mark_case*>(self);
      if (w.value == c.interest.lo + 0x128) c.out->located++;
    };
    request.who.covered = [](void* self, marker&, range r) {
      auto& c = *static_cast<mark_case*>(self);
      if (r.holds(c.visible.at(0))) c.out->covered_first++;
    };
    request.decide = decide;
    request.arg = this;
    request.hidden = out.hidden();
    request.off = off;
    snapshot_outcome outcome = take_snapshot(request);
    test::print_notes(outcome);
    ASSERT_TRUE(outcome.ok) << outcome.why;
  }
  std::size_t count_marked(image& in, const chain& c) const noexcept {
    std::size_t n = 0;
    for (int i = 0; i < chain_length; i++) n += in.blocks.marked(c.at(i)) ? 1 : 0;
    return n;
  }
};

TEST_F(mark_case, reachable_blocks_are_marked_and_no_others) {
  take([](void* arg, image& in) noexcept {
    auto& c = *static_cast<mark_case*>(arg);
    marker m(in);
    m.mark_roots();
    c.out->marked = c.count_marked(in, c.visible);
    c.out->reached = c.count_marked(in, c.hidden);
    c.out->marked_blocks = m.marked_blocks();
  });
  EXPECT_EQ(out->marked, static_cast<std::size_t>(chain_length));
  EXPECT_EQ(out->reached, 0u);
  EXPECT_EQ(out->covered_first, 1u) << "a block is scanned once";
  EXPECT_GE(out->marked_blocks, static_cast<std::size_t>(chain_length));
}

TEST_F(mark_case, the_second_colour_stops_at_marked_blocks) {
  // hidden[0] is entered by reach; its end points into the visible chain.
  reinterpret_cast<node*>(hidden.at(chain_length - 1))->next = reinterpret_cast<node*>(visible.at(3));
  take([](void* arg, image& in) noexcept {
    auto& c = *static_cast<mark_case*>(arg);
    marker m(in);
    m.mark_roots();
    c.out->first = m.reach_block(c.hidden.at(0) + 11);
    m.drain();
    c.out->reached = m.reached_blocks();
    c.out->marked = c.count_marked(in, c.hidden);
    c.out->second = in.blocks.reached(c.hidden.at(chain_length - 1)) && !in.blocks.reached(c.visible.at(3));
  });
  EXPECT_TRUE(out->first);
  EXPECT_EQ(out->reached, static_cast<std::size_t>(chain_length));
  EXPECT_EQ(out->marked, 0u);
  EXPECT_TRUE(out->second);
}

TEST_F(mark_case, orphans_are_what_neither_colour_has) {
  take([](void* arg, image& in) noexcept {
    auto& c = *static_cast<mark_case*>(arg);
    marker m(in);
    m.mark_roots();
    m.reach_block(c.hidden.at(500));
    m.drain();
    struct box {
      mark_case* c;
      image* in;
    } b{&c, &in};
    m.mark_orphans(
        [](void* a, range block) {
          auto& x = *static_cast<box*>(a);
          for (int i = 0; i < chain_length; i++) x.c->out->orphan_calls += block.holds(x.c->hidden.at(i)) ? 1 : 0;
        },
        &b);
    c.out->marked = c.count_marked(in, c.hidden);
  });
  EXPECT_GE(out->orphan_calls, 1u);
  EXPECT_LE(out->orphan_calls, 500u);
  EXPECT_EQ(out->marked, static_cast<std::size_t>(chain_length)) << "marking goes on into reached blocks";
}

TEST_F(mark_case, orphans_can_be_switched_off) {
  take(
      [](void* arg, image& in) noexcept {
        auto& c = *static_cast<mark_case*>(arg);
        marker m(in);
        m.mark_roots();
        m.mark_orphans([](void* a, range) { ++*static_cast<std::size_t*>(a); }, &c.out->orphan_calls);
      },
      bit(root::orphans));
  EXPECT_EQ(out->orphan_calls, 0u);
}

TEST_F(mark_case, words_into_interest_go_to_the_client) {
  auto* v = reinterpret_cast<node*>(visible.at(700));
  auto* h = reinterpret_cast<node*>(hidden.at(700));
  for (node* n : {v, h}) {
    n->payload[1] = (interest.lo + 0x128) | 0x5aull << 56;  // tagged: tested after masking
    n->payload[2] = n->payload[1] ^ reinterpret_cast<std::uintptr_t>(&n->payload[1]);
  }
  a_global_word = interest.hi;  // one past the end is not in it
  take([](void*, image& in) noexcept {
    marker m(in);
    m.locate();
    m.mark_roots();
  });
  EXPECT_EQ(out->located, 2u) << "both, the unreached one too";
  EXPECT_EQ(out->hits, 1u);
  EXPECT_TRUE(out->next_right);
}

TEST_F(mark_case, a_header_address_marks_both_sides) {
  // Two neighbours of the same size, fresh from the top of the heap.
  take([](void* arg, image& in) noexcept {
    auto& c = *static_cast<mark_case*>(arg);
    marker m(in);
    std::uintptr_t found = 0, last = 0;
    in.blocks.each_in_use([&](std::uintptr_t user) {
      if (found == 0 && last != 0 && block_table::end_of(last) + 8 == user + 0 && !in.blocks.marked(user) &&
          !in.blocks.marked(last)) {
        found = user;
      } else if (found == 0) {
        last = user;
      }
    });
    if (found == 0) return;
    c.out->in_use = 1;
    struct {
      std::uintptr_t w;
    } place{found - 8};
    m.push({reinterpret_cast<std::uintptr_t>(&place), reinterpret_cast<std::uintptr_t>(&place) + 8}, origin::memory);
    m.drain();
    c.out->before = in.blocks.marked(last);
    c.out->after = in.blocks.marked(found);
  });
  ASSERT_EQ(out->in_use, 1u);
  EXPECT_TRUE(out->before);
  EXPECT_TRUE(out->after);
}

TEST_F(mark_case, an_end_pointer_is_still_the_block) {
  a_global_root = reinterpret_cast<node*>(hidden.at(0) + malloc_usable_size(reinterpret_cast<void*>(hidden.at(0))) - 1);
  take([](void* arg, image& in) noexcept {
    auto& c = *static_cast<mark_case*>(arg);
    marker m(in);
    m.mark_roots();
    c.out->marked = c.count_marked(in, c.hidden);
  });
  EXPECT_EQ(out->marked, static_cast<std::size_t>(chain_length));
}

TEST_F(mark_case, for_each_word_leaves_out_what_cannot_be_read) {
  char* page = static_cast<char*>(mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(page + 4096, 4096, PROT_NONE);
  interest = {reinterpret_cast<std::uintptr_t>(page), reinterpret_cast<std::uintptr_t>(page) + 3 * 4096};
  take([](void* arg, image& in) noexcept {
    auto& c = *static_cast<mark_case*>(arg);
    marker m(in);
    m.for_each_word(c.interest, [&](const word&) { c.out->words++; });
  });
  EXPECT_EQ(out->words, 2u * 512);
  munmap(page, 3 * 4096);
  interest.hi = interest.lo;
}

}  // namespace
}  // namespace stray::trace
