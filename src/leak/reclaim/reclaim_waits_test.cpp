// reclaim, one primitive after the other: its queue forgets the one that ends, and goes on without it.
#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include <stray/stray.hpp>
#include "base/arch.h"
#include "leak/reclaim/reclaim_case.h"

namespace {

using namespace stray::leak::test;

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
#if defined(STRAY_ASAN) || defined(STRAY_TSAN)
  GTEST_SKIP() << "the sanitizer's heap is all roots: a block that holds a handle is never found dead";
#endif
  expect_the_other_gets_it([](auto& both) { both.a.recv(); });
  expect_the_other_gets_it([](auto& both) {
    stray::select(stray::on_recv(both.b, [] {}), stray::on_recv(both.a, [] {}), stray::on_recv(both.a, [] {}));
  });
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

}  // namespace
