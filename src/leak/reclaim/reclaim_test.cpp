// reclaim: whom it ends, whom it leaves alone, and that what it ends leaves nothing behind.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/reclaim/reclaim_case.h"

namespace {

using namespace stray::leak::test;

TEST(reclaim, likely_is_refused) {
  static std::atomic<std::uintptr_t> hidden{0};
  struct owner {
    stray::chan<int> ch = stray::make_chan<int>();
  };
  hidden = ~reinterpret_cast<std::uintptr_t>(new owner);
  auto open = []() -> owner& { return *reinterpret_cast<owner*>(~hidden.load()); };
  std::uint64_t id = start([open] {
    stray::chan<int> ch = open().ch;
    ch.recv();
  });
  stray::leak::options all{.min_tier = stray::leak::tier::likely};
  report r;
  auto listed = [&] {
    for (const stray::leak::group& g : r.groups()) {
      for (const stray::leak::goroutine& one : g.goroutines) {
        if (one.id == id) return true;
      }
    }
    return false;
  };
  for (r = stray::leak::find(all); !listed(); r = stray::leak::find(all)) stray::yield();
  reclaim_report done = stray::leak::reclaim(r);
  EXPECT_EQ(of(done, id).outcome, reclaim_outcome::refused);
  EXPECT_EQ(of(done, id).reason, "it is not proven");
  open().ch.send(1);
  until_gone(id);
  delete &open();
}

TEST(reclaim, destructors_see_an_unwinding) {
  static int uncaught;
  struct looks {
    ~looks() { uncaught = std::uncaught_exceptions(); }
  };
  expect_reclaimed([] {
    looks at_end;
    block();
  });
  EXPECT_EQ(uncaught, 1);
}

TEST(reclaim, an_exception_that_is_being_handled_is_destroyed) {
  static std::weak_ptr<int> value;
  struct error {
    std::shared_ptr<int> owned;
  };
  int procs = stray::maxprocs(1);
  expect_reclaimed([] {
    try {
      auto owned = std::make_shared<int>(1);
      value = owned;
      throw error{std::move(owned)};
    } catch (const error&) {
      stray::go([] {});  // runs next on this worker, whose thread then knows of no exception any more
      block();
    }
  });
  stray::maxprocs(procs);
  EXPECT_TRUE(value.expired());
}

TEST(reclaim, a_large_closure_is_freed) {
  static std::weak_ptr<int> value;
  struct large {
    std::shared_ptr<int> owned;
    char more[200] = {};
  };
  auto make = [] {
    large l{std::make_shared<int>(1), {}};
    value = l.owned;
    return l;
  };
  expect_reclaimed([l = make()]() mutable {
    l.more[0] = 1;
    block();
  });
  EXPECT_TRUE(value.expired());
}

TEST(reclaim, typed_handlers_are_passed) {
  static bool caught = false;
  expect_reclaimed([] {
    try {
      block();
    } catch (const std::exception&) {
      caught = true;
    }
  });
  EXPECT_FALSE(caught);
}

[[gnu::noinline]] void never_throws() noexcept {
  counts_end* none = nullptr;
  block();
  asm volatile("" : : "r"(none));
}
TEST(reclaim, a_noexcept_function_is_refused) {
  expect_refused([] { never_throws(); }, "in the way", "never_throws");
}
// g++ makes a cleanup of it, which ends in std::terminate.
[[gnu::noinline]] void never_throws_and_destroys() noexcept {
  std::atomic<int> ends{0};
  counts_end local(&ends);
  block();
}
[[gnu::noinline]] void never_throws_and_receives(const stray::recv_chan<int>& ch) noexcept { ch.recv(); }
TEST(reclaim, a_noexcept_function_with_something_to_destroy_is_refused) {
  expect_refused([] { never_throws_and_destroys(); }, "in the way", "never_throws_and_destroys");
  expect_refused([] { never_throws_and_receives(stray::make_chan<int>()); }, "in the way", "never_throws_and_receives");
}
[[gnu::noinline]] void swallows() {
  try {
    block();
  } catch (...) {
    asm volatile("");
  }
}
TEST(reclaim, a_handler_for_everything_is_refused) {
  expect_refused([] { swallows(); }, "in the way", "swallows");
}
[[gnu::noinline]] void passes_on() {
  try {
    block();
  } catch (...) {
    asm volatile("");
    throw;
  }
}
TEST(reclaim, a_handler_that_passes_everything_on_is_refused) {
  expect_refused([] { passes_on(); }, "in the way", "passes_on");
}
struct blocks_at_end {
  [[gnu::noinline]] ~blocks_at_end() { block(); }
};
TEST(reclaim, a_destructor_that_blocked_is_refused) {
  expect_refused([] { blocks_at_end b; }, "in the way", "blocks_at_end");
}

#if defined(__x86_64__)
extern "C" void strange_frame(void (*f)());
extern "C" void strange_personality() {}
asm(R"(
    .text
    .type strange_frame, @function
strange_frame:
    .cfi_startproc
    .cfi_personality 0x1b, strange_personality
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call *%rdi
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size strange_frame, . - strange_frame
)");
TEST(reclaim, an_unknown_personality_is_refused) {
  expect_refused([] { strange_frame(block); }, "unknown personality", "strange_frame");
}
#endif

TEST(reclaim, an_os_thread_is_refused) {
  static std::atomic<int> tid{0};
  std::thread([] {
    tid = ::gettid();
    block();
  }).detach();
  while (tid == 0) std::this_thread::yield();
  auto id = static_cast<std::uint64_t>(tid.load());
  reclaim_report r = stray::leak::reclaim(until_found({id}));
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::refused);
  EXPECT_NE(of(r, id).reason.find("OS thread"), std::string::npos);
}

TEST(reclaim, who_can_be_woken_is_never_touched) {
  auto ch = stray::make_chan<int>();
  std::atomic<bool> got = false;
  std::uint64_t live = start([ch, &got] { got = ch.recv().has_value(); });
  std::uint64_t leaked = start([] { block(); });
  reclaim_report r = stray::leak::reclaim(until_found({leaked}), {.wait = 1min});
  EXPECT_EQ(of(r, leaked).outcome, reclaim_outcome::reclaimed);
  EXPECT_TRUE(exists(live));
  ch.send(1);
  until_gone(live);
  EXPECT_TRUE(got);
}

// Hidden from the detector, so that a verdict is wrong and the goroutine wakes between the two detections.
TEST(reclaim, another_wait_is_refused) {
  static std::atomic<std::uintptr_t> hidden{0};
  struct owner {
    stray::chan<int> ch = stray::make_chan<int>();
    char far[200'000];  // a mapping of its own: no stale word leads to a block that was used before
  };
  std::uint64_t id = start([] {
    auto own = std::make_unique<owner>();
    hidden = ~reinterpret_cast<std::uintptr_t>(own.get());
    own->ch.recv();
    own->ch.recv();
  });
  report first = until_found({id});
  auto& all = stray::runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    if (all.at(i)->id == id) stray::runtime::unlist(all.at(i), all.at(i)->wait(all.at(i)->word.load()));
  }
  until_gone(start([] { reinterpret_cast<owner*>(~hidden.load())->ch.send(1); }));  // no address stays in this thread's frames
  report second = until_found({id});
  reclaim_report r = stray::leak::reclaim(first);
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::refused);
  EXPECT_NE(of(r, id).reason.find("in the same wait"), std::string::npos) << of(r, id).reason;
  EXPECT_TRUE(exists(id));
  r = stray::leak::reclaim(second, {.wait = 1min});
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::reclaimed) << of(r, id).reason;
}

TEST(reclaim, victims_of_a_lock_wake_by_themselves) {
  std::uint64_t wrong = stray::runtime::wrong_verdicts();
  static stray::mutex lock;
  static std::atomic<bool> locked, done;
  locked = done = false;
  std::uint64_t root = start([] {
    std::lock_guard held(lock);
    locked = true;
    block();
  });
  while (!locked) stray::yield();
  std::uint64_t victim = start([] {
    std::lock_guard held(lock);
    done = true;
  });
  reclaim_report r = stray::leak::reclaim(until_found({root, victim}), {.wait = 1min});
  EXPECT_EQ(of(r, root).outcome, reclaim_outcome::reclaimed) << of(r, root).reason;
  EXPECT_EQ(of(r, victim).outcome, reclaim_outcome::deferred);
  until_gone(victim);
  EXPECT_TRUE(done);
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong);
}

TEST(reclaim, victims_of_a_refused_root_are_taken) {
  static stray::mutex lock;
  static std::atomic<bool> locked;
  locked = false;
  std::uint64_t root = start([] {
    std::lock_guard held(lock);
    locked = true;
    never_throws();
  });
  while (!locked) stray::yield();
  std::uint64_t victim = start([] { std::lock_guard held(lock); });
  reclaim_report r = stray::leak::reclaim(until_found({root, victim}), {.wait = 1min});
  EXPECT_EQ(of(r, root).outcome, reclaim_outcome::refused);
  EXPECT_EQ(of(r, victim).outcome, reclaim_outcome::reclaimed) << of(r, victim).reason;
}

TEST(reclaim, one_of_a_cycle_is_enough) {
  std::uint64_t wrong = stray::runtime::wrong_verdicts();
  static stray::mutex left, right;
  static std::atomic<int> held, returned;
  held = returned = 0;
  auto lock_both = [](stray::mutex& first, stray::mutex& second) {
    std::lock_guard a(first);
    held++;
    while (held != 2) stray::yield();
    std::lock_guard b(second);
    returned++;
  };
  std::uint64_t one = start([=] { lock_both(left, right); }), two = start([=] { lock_both(right, left); });
  reclaim_report r = stray::leak::reclaim(until_found({one, two}), {.wait = 1min});
  EXPECT_EQ((of(r, one).outcome == reclaim_outcome::reclaimed) + (of(r, two).outcome == reclaim_outcome::reclaimed), 1);
  EXPECT_EQ((of(r, one).outcome == reclaim_outcome::deferred) + (of(r, two).outcome == reclaim_outcome::deferred), 1);
  until_gone(one);
  until_gone(two);
  EXPECT_EQ(returned, 1) << "the other one went on";
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong);
}

TEST(reclaim, a_destructor_may_block) {
  static stray::chan<int> gate;
  static std::atomic<int> got;
  gate = stray::make_chan<int>();
  got = 0;
  struct receives {
    ~receives() { got = *gate.recv(); }
  };
  std::uint64_t id = start([] {
    receives at_end;
    block();
  });
  reclaim_report r = stray::leak::reclaim(until_found({id}), {.wait = 0ns});
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::unwinding);
  gate.send(7);
  until_gone(id);
  EXPECT_EQ(got, 7);
  gate = {};
}

TEST(reclaim, nobody_is_unwound_twice) {
  struct blocks {
    ~blocks() noexcept(false) { block(); }
  };
  std::uint64_t id = start([] {
    blocks at_end;
    block();
  });
  reclaim_report r = stray::leak::reclaim(until_found({id}), {.wait = 0ns});
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::unwinding);
  r = stray::leak::reclaim(until_found({id}));
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::refused);
  EXPECT_NE(of(r, id).reason.find("unwound already"), std::string::npos) << of(r, id).reason;
}

TEST(reclaim, no_more_than_the_budget) {
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 5; i++) ids.push_back(start([] { block(); }));
  report found = until_found(ids);
  reclaim_report r = stray::leak::reclaim(found, {.budget = 2, .wait = 1min});
  EXPECT_EQ(r.count(reclaim_outcome::reclaimed), 2U);
  r = stray::leak::reclaim(found, {.wait = 1min});
  EXPECT_EQ(r.count(reclaim_outcome::reclaimed), 3U);
  for (std::uint64_t id : ids) until_gone(id);
}

// Run it with --gtest_repeat.
TEST(reclaim, many_of_every_kind_at_once) {
  struct locks {
    stray::mutex m;
    stray::shared_mutex shared;
    stray::condition_variable changed;
    stray::wait_group group;
    stray::semaphore permits{0};
  };
  static std::atomic<int> ends;
  ends = 0;
  std::uint64_t wrong = stray::runtime::wrong_verdicts();
  std::vector<std::uint64_t> ids;
  for (int kind = 0; kind < 8 * 8; kind++) {
    ids.push_back(start([kind] {
      counts_end at_end(&ends);
      auto of = std::make_unique<locks>();
      auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
      std::unique_lock held(of->m);
      switch (kind % 8) {
        case 0:
          a.recv();
          break;
        case 1:
          a.send(1);
          break;
        case 2:
          stray::select(stray::on_recv(a, [] {}), stray::on_send(b, 1));
          break;
        case 3:
          of->m.lock();
          break;
        case 4:
          of->changed.wait(held);
          break;
        case 5:
          of->group.add(1);
          of->group.wait();
          break;
        case 6:
          of->permits.acquire();
          break;
        case 7: {
          std::shared_lock reads(of->shared);
          std::unique_lock writes(of->shared);
          break;
        }
      }
    }));
  }
  reclaim_report r = stray::leak::reclaim(until_found(ids), {.wait = 1min});
  for (std::uint64_t id : ids) {
    EXPECT_EQ(of(r, id).outcome, reclaim_outcome::reclaimed) << of(r, id).reason << of(r, id).function;
    until_gone(id);
  }
  EXPECT_EQ(ends, 8 * 8);
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong);
}

TEST(reclaim, from_a_goroutine_and_from_a_callback_of_on_leak) {
  std::uint64_t first = start([] { block(); });
  report found = until_found({first});
  auto outcome = stray::make_chan<reclaim_outcome>(1);
  stray::go([=] { outcome.send(of(stray::leak::reclaim(found, {.wait = 1min}), first).outcome); });
  EXPECT_EQ(outcome.recv(), reclaim_outcome::reclaimed);

  std::uint64_t second = start([] { block(); });
  auto watch = stray::leak::on_leak([](const report& r) { stray::leak::reclaim(r); }, 1ms, {}, 1.0);
  until_gone(second);
}

TEST(reclaim, later_reports_say_so) {
  std::uint64_t id = start([] { block(); });
  stray::leak::reclaim(until_found({id}), {.wait = 1min});
  std::vector<std::string> notes = stray::leak::find().notes();
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& n) { return n.starts_with("leak::reclaim in"); }));
}

TEST(reclaim, an_empty_report_is_no_work) { EXPECT_TRUE(stray::leak::reclaim(report()).goroutines.empty()); }

}  // namespace
