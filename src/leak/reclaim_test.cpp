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
#include "leak/findings.h"
#include "runtime/park.h"
#include "runtime/task.h"

namespace {

using namespace std::chrono_literals;
using stray::leak::reclaim_outcome;
using stray::leak::reclaim_report;
using stray::leak::report;

// What a test starts, by id: those that other tests had refused stay leaked.
template <class F>
[[gnu::noinline]] std::uint64_t start(F f) {
  auto id = stray::make_chan<std::uint64_t>(1);
  stray::go([id, f = std::move(f)]() mutable {
    id.send(stray::goroutine_id());
    f();
  });
  return *id.recv();
}

// Only these, as soon as all of them are found.
report until_found(const std::vector<std::uint64_t>& ids) {
  for (;;) {
    report r = stray::leak::find();
    std::size_t n = 0;
    for (const stray::leak::group& g : r.groups()) {
      for (const stray::leak::goroutine& one : g.goroutines)
        n += static_cast<std::size_t>(std::count(ids.begin(), ids.end(), one.id));
    }
    if (n == ids.size()) return r;
    stray::yield();
  }
}

bool is_found(std::uint64_t id) {
  report r = stray::leak::find();
  for (const stray::leak::group& g : r.groups()) {
    for (const stray::leak::goroutine& one : g.goroutines) {
      if (one.id == id) return true;
    }
  }
  return false;
}

bool exists(std::uint64_t id) {
  auto& all = stray::runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    auto state = all.at(i)->current_state();
    if (all.at(i)->id == id && state != stray::runtime::state::free && state != stray::runtime::state::dead) return true;
  }
  return false;
}
void until_gone(std::uint64_t id) {
  while (exists(id)) stray::yield();
}

const reclaim_report::goroutine& of(const reclaim_report& r, std::uint64_t id) {
  for (const reclaim_report::goroutine& g : r.goroutines) {
    if (g.id == id) return g;
  }
  static const reclaim_report::goroutine none;
  ADD_FAILURE() << "goroutine " << id << " is not in the report";
  return none;
}

std::string text_of(const reclaim_report& r) {
  std::ostringstream text;
  text << r;
  return std::move(text).str();
}

struct counts_end {
  std::atomic<int>* ends;
  explicit counts_end(std::atomic<int>* n) : ends(n) {}
  counts_end(const counts_end&) = delete;
  counts_end& operator=(const counts_end&) = delete;
  ~counts_end() { ends->fetch_add(1); }
};

// f blocks for ever; its frames are unwound, and nothing of it is left.
template <class F>
void expect_reclaimed(F f) {
  static std::atomic<int> ends;
  ends = 0;
  std::uint64_t wrong = stray::runtime::wrong_verdicts();
  std::size_t before = stray::num_goroutine();
  std::uint64_t id = start([f = std::move(f)]() mutable {
    counts_end outer(&ends);
    auto inner = std::make_unique<counts_end>(&ends);
    f();
    ends = 1000;  // it has returned
  });
  reclaim_report r = stray::leak::reclaim(until_found({id}), {.wait = 1min});
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::reclaimed) << of(r, id).reason << ": " << of(r, id).function;
  EXPECT_EQ(ends.load(), 2);
  EXPECT_EQ(stray::num_goroutine(), before);
  until_gone(id);
  EXPECT_FALSE(is_found(id));
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong);
}

template <class F>
void expect_refused(F f, const std::string& reason, const std::string& function) {
  std::uint64_t id = start(std::move(f));
  report found = until_found({id});
  for (int round = 0; round < 2; round++) {
    reclaim_report r = stray::leak::reclaim(found);
    EXPECT_EQ(of(r, id).outcome, reclaim_outcome::refused);
    EXPECT_NE(of(r, id).reason.find(reason), std::string::npos) << of(r, id).reason;
    if (function.empty()) {
      EXPECT_EQ(of(r, id).function, "");
    } else {
      EXPECT_NE(of(r, id).function.find(function), std::string::npos) << of(r, id).function;
    }
    until_found({id});  // it was left as it was
  }
}

[[gnu::noinline]] void block() { stray::make_chan<int>().recv(); }

TEST(reclaim, a_receiver) {
  expect_reclaimed([] { stray::make_chan<std::string>().recv(); });
}
TEST(reclaim, a_loop_over_a_channel) {
  expect_reclaimed([] {
    for (std::string s : stray::make_chan<std::string>()) s.clear();
  });
}
TEST(reclaim, a_sender_keeps_its_value_until_its_end) {
  static std::weak_ptr<int> value;
  expect_reclaimed([] {
    auto owned = std::make_shared<int>(1);
    value = owned;
    stray::make_chan<std::shared_ptr<int>>().send(std::move(owned));
  });
  EXPECT_TRUE(value.expired());
}
TEST(reclaim, a_nil_channel_and_a_select_without_cases) {
  expect_reclaimed([] { stray::chan<int>().recv(); });
  expect_reclaimed([] { stray::select(); });
}

TEST(reclaim, a_select_leaves_every_queue) {
  expect_reclaimed([] {
    auto a = stray::make_chan<int>();
    auto b = stray::make_chan<std::string>();
    stray::select(stray::on_recv(a, [](std::optional<int>) {}), stray::on_send(b, "x"), stray::on_recv(a, [] {}));
  });
}

// Two wait; one is ended; the value goes to the other. The channels are reached by a pointer that the detector cannot see.
template <class F>
void expect_the_other_gets_it(F waits) {
  struct both {
    stray::chan<int> a = stray::make_chan<int>(), b = stray::make_chan<int>();
    char far[200'000];  // a mapping of its own: no stale word leads to a block that was used before
  };
  static std::atomic<std::uintptr_t> hidden{0};
  static std::atomic<int> ended, started;
  ended = started = 0;
  hidden = 0;
  static std::shared_ptr<both> kept;  // on its way from the first to the second; never in a frame of this thread
  auto body = [waits] {
    std::shared_ptr<both> own;
    if (++started == 1) {
      own = kept = std::make_shared<both>();
      hidden = ~reinterpret_cast<std::uintptr_t>(own.get());
    } else {
      own = std::move(kept);
    }
    waits(*own);
    ended++;
  };
  std::vector<std::uint64_t> ids{start(body)};
  while (hidden == 0) stray::yield();
  ids.push_back(start(body));
  report r = until_found(ids);
  reclaim_report done = stray::leak::reclaim(r, {.budget = 1, .wait = 1min});
  ASSERT_EQ(done.count(reclaim_outcome::reclaimed), 1U) << text_of(done);
  EXPECT_EQ(ended, 0);
  reinterpret_cast<both*>(~hidden.load())->a.send(1);
  for (std::uint64_t id : ids) until_gone(id);
  EXPECT_EQ(ended, 1);
}
TEST(reclaim, a_queue_goes_on_without_it) {
  expect_the_other_gets_it([](auto& both) { both.a.recv(); });
  expect_the_other_gets_it([](auto& both) {
    stray::select(stray::on_recv(both.b, [] {}), stray::on_recv(both.a, [] {}), stray::on_recv(both.a, [] {}));
  });
}

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

stray::mutex twice;
TEST(reclaim, a_mutex_locked_twice_is_free_again) {
  for (int i = 0; i < 3; i++) {
    expect_reclaimed([] {
      std::lock_guard first(twice);
      std::lock_guard second(twice);
    });
    ASSERT_TRUE(twice.try_lock());
    twice.unlock();
  }
}

TEST(reclaim, a_wait_group_and_a_latch) {
  expect_reclaimed([] {
    stray::wait_group group;
    group.add(1);
    group.wait();
  });
  expect_reclaimed([] {
    stray::latch l(1);
    l.wait();
  });
}
TEST(reclaim, a_semaphore_and_a_barrier) {
  expect_reclaimed([] {
    stray::semaphore s(0);
    s.acquire();
  });
  expect_reclaimed([] {
    stray::barrier<> b(2);
    b.arrive_and_wait();
  });
}
TEST(reclaim, a_once_that_calls_itself) {
  expect_reclaimed([] {
    stray::once o;
    o.call([&o] { o.call([] {}); });
  });
}

TEST(reclaim, a_condition_variable_locks_again_first) {
  static bool held_at_end;
  struct looks {
    stray::mutex& m;
    ~looks() { held_at_end = !m.try_lock(); }
  };
  expect_reclaimed([] {
    stray::mutex m;
    stray::condition_variable changed;
    std::unique_lock lock(m);
    looks at_end{m};
    changed.wait(lock);
  });
  EXPECT_TRUE(held_at_end);
}

TEST(reclaim, a_shared_mutex) {
  expect_reclaimed([] {  // a reader behind its own writer
    stray::shared_mutex m;
    std::unique_lock writer(m);
    std::shared_lock reader(m);
  });
  expect_reclaimed([] {  // a writer behind its own writer
    stray::shared_mutex m;
    std::unique_lock writer(m);
    std::unique_lock again(m);
  });
}
// An upgrade: it holds off readers, and another writer stands behind it. Both go on when it has gone.
TEST(reclaim, a_writer_that_holds_readers_off) {
  std::uint64_t wrong = stray::runtime::wrong_verdicts();
  static stray::shared_mutex lock;
  static std::atomic<bool> reads, read, written;
  for (bool with_writer : {false, true}) {
    reads = read = written = false;
    std::uint64_t upgrade = start([] {
      std::shared_lock first(lock);
      reads = true;
      std::unique_lock second(lock);
    });
    while (!reads) stray::yield();
    until_found({upgrade});
    std::vector<std::uint64_t> all{upgrade};
    all.push_back(start([] {
      std::shared_lock held(lock);
      read = true;
    }));
    if (with_writer) {
      all.push_back(start([] {
        std::unique_lock held(lock);
        written = true;
      }));
    }
    reclaim_report r = stray::leak::reclaim(until_found(all), {.wait = 1min});
    EXPECT_EQ(of(r, upgrade).outcome, reclaim_outcome::reclaimed) << of(r, upgrade).reason;
    EXPECT_EQ(r.count(reclaim_outcome::deferred), all.size() - 1);
    for (std::uint64_t id : all) until_gone(id);
    EXPECT_TRUE(read);
    EXPECT_EQ(written, with_writer);
    ASSERT_TRUE(lock.try_lock());
    lock.unlock();
  }
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong);
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
    if (all.at(i)->id == id) stray::runtime::unlist(all.at(i), stray::runtime::word::seq_of(all.at(i)->word.load()));
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
