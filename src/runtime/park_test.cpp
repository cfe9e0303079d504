// The state word decides who wakes a task: one claim a wait, none of another wait, none twice; an inspector makes a waker leave the rest of
// its wake to it.
//
// The tasks here are records of this test, not in the scheduler's hands: threads where a wake must store the futex, goroutines that are
// still parking where a wake must not queue anything.
#include "runtime/park.h"

#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

namespace stray::runtime {
namespace {

std::uint64_t seq(const task& t) { return word::seq_of(t.word.load()); }
wait_id wait(const task& t) { return t.wait(t.word.load()); }
void settle(task& t) { t.word.store(word::with(t.word.load(), state::waiting)); }  // sp is saved
void prepare(task& t, bool is_thread) {
  t.is_thread = is_thread;
  t.id = 1;
  prepare_wait(&t, wait_reason::chan_receive, &t.node, 1);
}

TEST(state_word, prepare_begins_a_new_wait) {
  task t;
  t.word.store(word::with(5 * word::seq_one, state::running) | word::listed);
  t.fired = &t.node;
  t.fired_ok = true;
  prepare(t, true);
  EXPECT_EQ(t.current_state(), state::parking);
  EXPECT_EQ(seq(t), 6u);
  EXPECT_EQ(t.word.load() & (word::listed | word::pending | word::inspecting), 0u);
  EXPECT_EQ(t.fired, nullptr);
  EXPECT_FALSE(t.fired_ok);
  EXPECT_EQ(t.nodes, &t.node);
  EXPECT_EQ(t.node_count, 1u);
  EXPECT_EQ(t.reason, wait_reason::chan_receive);
}

TEST(state_word, can_be_claimed_only_while_parking_or_waiting) {
  for (state s : {state::free, state::init, state::runnable, state::running, state::claimed, state::claimed_early,
                  state::runnable_early, state::dead}) {
    task t;
    t.word.store(word::with(3 * word::seq_one, s));
    EXPECT_FALSE(try_claim(&t)) << static_cast<int>(s);
    EXPECT_FALSE(try_claim(&t, 3)) << static_cast<int>(s);
    EXPECT_EQ(t.word.load(), word::with(3 * word::seq_one, s));
  }
}

TEST(state_word, is_claimed_once) {
  task t;
  prepare(t, true);
  settle(t);
  EXPECT_TRUE(try_claim(&t));
  EXPECT_EQ(t.current_state(), state::claimed);
  EXPECT_FALSE(try_claim(&t));
  EXPECT_FALSE(try_claim(&t, seq(t)));
}

TEST(state_word, a_claim_before_sp_is_saved_is_early_and_its_wake_queues_nothing) {
  task t;
  prepare(t, false);
  EXPECT_TRUE(try_claim(&t));
  EXPECT_EQ(t.current_state(), state::claimed_early);
  EXPECT_FALSE(try_claim(&t));
  make_runnable(&t);
  EXPECT_EQ(t.current_state(), state::runnable_early);
  EXPECT_EQ(t.next, nullptr);
}

TEST(state_word, a_claim_of_another_wait_fails) {
  task t;
  prepare(t, true);
  settle(t);
  std::uint64_t now = seq(t);
  EXPECT_FALSE(try_claim(&t, now - 1));
  EXPECT_FALSE(try_claim(&t, now + 1));
  EXPECT_EQ(t.current_state(), state::waiting);
  EXPECT_TRUE(try_claim(&t, now));
}

TEST(state_word, one_of_many_wakers_wins_each_wait) {
  constexpr int rounds = 2000, wakers = 3;
  task t;
  std::atomic<int> round{0}, arrived{0}, wins{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < wakers; i++) {
    threads.emplace_back([&, i] {
      for (int r = 1; r <= rounds; r++) {
        while (round.load() != r) std::this_thread::yield();
        if (i % 2 == 0 ? try_claim(&t) : try_claim(&t, static_cast<std::uint64_t>(r))) wins++;
        arrived++;
      }
    });
  }
  int bad = 0;
  for (int r = 1; r <= rounds; r++) {
    prepare(t, true);
    if (r % 2 == 0) settle(t);
    arrived = 0;
    wins = 0;
    round = r;
    while (arrived.load() != wakers) std::this_thread::yield();
    bad += wins.load() != 1;
  }
  for (std::thread& x : threads) x.join();
  EXPECT_EQ(bad, 0);
}

TEST(make_runnable, of_a_thread_stores_its_futex) {
  task t;
  prepare(t, true);
  settle(t);
  ASSERT_TRUE(try_claim(&t));
  EXPECT_EQ(t.futex.load(), 0u);
  make_runnable(&t);
  EXPECT_EQ(t.current_state(), state::runnable);
  EXPECT_EQ(t.futex.load(), 1u);
}

TEST(inspection, begins_only_of_that_wait_and_once) {
  task t;
  prepare(t, true);
  EXPECT_FALSE(begin_inspection(&t, wait(t))) << "still parking";
  settle(t);
  EXPECT_FALSE(begin_inspection(&t, wait_id(1, seq(t) + 1)));
  EXPECT_FALSE(begin_inspection(&t, wait_id(2, seq(t)))) << "another task's";
  EXPECT_TRUE(begin_inspection(&t, wait(t)));
  EXPECT_FALSE(begin_inspection(&t, wait(t)));
  end_inspection(&t);
  EXPECT_EQ(t.current_state(), state::waiting);
  EXPECT_EQ(t.futex.load(), 0u);
  EXPECT_TRUE(begin_inspection(&t, wait(t)));
  end_inspection(&t);
}

TEST(inspection, takes_over_the_wake_of_a_waker_that_came_meanwhile) {
  task t;
  prepare(t, true);
  settle(t);
  ASSERT_TRUE(begin_inspection(&t, wait(t)));
  ASSERT_TRUE(try_claim(&t));
  make_runnable(&t);  // leaves
  EXPECT_EQ(t.current_state(), state::claimed);
  EXPECT_NE(t.word.load() & word::pending, 0u);
  EXPECT_EQ(t.futex.load(), 0u);
  end_inspection(&t);
  EXPECT_EQ(t.current_state(), state::runnable);
  EXPECT_EQ(t.word.load() & (word::pending | word::inspecting), 0u);
  EXPECT_EQ(t.futex.load(), 1u);
}

TEST(inspection, that_ends_between_claim_and_wake_leaves_the_wake_to_the_waker) {
  task t;
  prepare(t, true);
  settle(t);
  ASSERT_TRUE(begin_inspection(&t, wait(t)));
  ASSERT_TRUE(try_claim(&t));
  end_inspection(&t);
  EXPECT_EQ(t.current_state(), state::claimed);
  EXPECT_EQ(t.futex.load(), 0u);
  make_runnable(&t);
  EXPECT_EQ(t.futex.load(), 1u);
}

TEST(inspection, and_a_waker_at_the_same_time_wake_exactly_once) {
  constexpr int rounds = 3000;
  task t;
  std::atomic<int> round{0}, done{0};
  std::thread inspector([&] {
    for (int r = 1; r <= rounds; r++) {
      while (round.load() != r) std::this_thread::yield();
      if (begin_inspection(&t, wait_id(1, static_cast<std::uint64_t>(r)))) end_inspection(&t);
      done++;
    }
  });
  int bad = 0;
  for (int r = 1; r <= rounds; r++) {
    prepare(t, true);
    settle(t);
    t.futex = 0;
    done = 0;
    round = r;
    bad += !try_claim(&t);
    make_runnable(&t);
    while (done.load() == 0) std::this_thread::yield();
    bad += t.current_state() != state::runnable || t.futex.load() != 1 ||
           (t.word.load() & (word::pending | word::inspecting)) != 0;
  }
  inspector.join();
  EXPECT_EQ(bad, 0);
}

TEST(wrong_verdicts, count_claims_of_what_was_listed) {
  task t;
  std::uint64_t before = wrong_verdicts();
  prepare(t, true);
  settle(t);
  mark_listed(&t, wait(t));
  EXPECT_NE(t.word.load() & word::listed, 0u);
  EXPECT_EQ(wrong_verdicts(), before);
  EXPECT_TRUE(try_claim(&t));
  EXPECT_EQ(wrong_verdicts(), before + 1);
  mark_listed(&t, wait(t));  // it is being woken: the verdict was wrong
  EXPECT_EQ(wrong_verdicts(), before + 2);
  prepare(t, true);
  settle(t);
  EXPECT_TRUE(try_claim(&t));
  EXPECT_EQ(wrong_verdicts(), before + 2) << "a new wait is not listed";
}

TEST(wait_nodes, come_in_any_number_and_unlinked) {
  for (std::size_t n : {1u, 2u, 4u, 5u, 16u, 17u, 256u, 257u, 65536u}) {
    wait_node* nodes = alloc_nodes(n);
    for (std::size_t i = 0; i < n; i++) {
      EXPECT_FALSE(nodes[i].linked);
      nodes[i].index = static_cast<std::uint32_t>(i);
    }
    free_nodes(nodes, n);
  }
  EXPECT_THROW(alloc_nodes(65537), std::bad_alloc);
}

}  // namespace
}  // namespace stray::runtime
