// The holds of a shared_mutex must add up to its count, or its writer is not judged: without the rule a healthy writer is called leaked, for
// the sake of a hold that a goroutine left behind at an address that is used again.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/detect/detector.h"
#include "leak/model/findings.h"
#include "runtime/test_waits.h"

namespace {

using stray::leak::tier;

std::size_t reported(bool holds_rule) {
  std::size_t n = 0;
  for (const stray::leak::finding& f : stray::leak::detect({.holds_rule = holds_rule})->list) n += f.tier >= tier::cycle;
  return n;
}

using stray::all_ended;

alignas(stray::shared_mutex) unsigned char place[sizeof(stray::shared_mutex)];
stray::shared_mutex* make() { return new (place) stray::shared_mutex; }

// A goroutine that ends while it reads, and whose lock is gone.
void leave_a_hold() {
  auto* gone = make();
  stray::go([gone] { gone->lock_shared(); });
  all_ended();
  gone->~shared_mutex();
}

TEST(holds, that_do_not_add_up_judge_nobody) {
  leave_a_hold();
  auto* m = make();  // at the same address
  auto quit = stray::make_chan<void>();
  stray::go([m, quit] {
    m->lock_shared();
    quit.recv();
    m->unlock_shared();
  });
  stray::testing::until_parked(1);
  stray::go([m] {
    m->lock();
    m->unlock();
  });
  stray::testing::until_parked(2);
  EXPECT_EQ(reported(true), 0u);
  EXPECT_EQ(reported(false), 1u);  // wrong: the writer is healthy
  quit.close();
  all_ended();

  // The price: at this address an upgrade is not found any more.
  stray::go([m] {
    m->lock_shared();
    m->lock();
  });
  stray::testing::until_parked(1);
  EXPECT_EQ(reported(true), 0u);
  EXPECT_EQ(reported(false), 1u);
}

// Elsewhere it is.
TEST(holds, that_add_up_do) {
  static stray::shared_mutex m;
  stray::go([] {
    m.lock_shared();
    m.lock();
  });
  stray::testing::until_parked(1);  // this one, or that of the test above
  while (reported(true) != 1) stray::yield();
}

}  // namespace
