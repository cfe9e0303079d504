// Who woke the one that asks is about to let go: a report waits for that, and not for one that computes.
#include <gtest/gtest.h>

#include <atomic>
#include <ctime>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

void compute_us(long us) {
  auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1'000'000 + t.tv_nsec / 1'000;
  };
  for (long end = now() + us; now() < end;) {
  }
}

TEST(settle, who_wakes_the_asker_lets_go_first) {
  const std::size_t before = stray::leak::find().total();
  for (std::size_t leaks = before + 1; leaks <= before + 50; leaks++) {
    {
      auto ch = stray::make_chan<int>();
      stray::go([in = stray::recv_chan<int>(ch)] { in.recv(); });
      stray::testing::until_parked(leaks);
      stray::wait_group woken;
      woken.add(1);
      stray::go([&woken, ch] {
        woken.done();
        compute_us(2000);  // with the sender's handle
      });
      woken.wait();
    }
    ASSERT_EQ(stray::leak::find().total(), leaks);
  }
}

TEST(settle, one_that_computes_is_not_waited_for) {
  std::atomic<bool> quit{false};
  std::atomic<int> rounds{0};
  stray::wait_group busy;
  busy.go([&] {
    while (!quit.load()) rounds.fetch_add(1);
  });
  while (rounds.load() == 0) {
  }
  for (int i = 0; i < 10; i++) EXPECT_TRUE(stray::leak::find().complete());
  quit = true;
  busy.wait();
}

}  // namespace
