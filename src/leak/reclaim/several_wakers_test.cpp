// Several of the leaked might wake one, in every way and order: it is not unwound together with any of them, whatever becomes of the others. The
// one that ends wakes it in its destructor.
#include <functional>

#include "leak/reclaim/reclaim_case.h"

namespace {

using namespace stray::leak::test;
using function = std::function<void()>;

struct wake {
  function wait, hold, end;  // one waits, another holds what could wake it, a third does wake it at its end
};

wake by_channel() {
  auto ch = stray::make_chan<int>();
  stray::send_chan<int> to = ch;
  stray::recv_chan<int> from = ch;
  return {[from] { from.recv(); }, [to] { static_cast<void>(to.len()); }, [to] { to.send(1); }};
}
wake by_receiving() {
  auto ch = stray::make_chan<int>();
  stray::send_chan<int> to = ch;
  stray::recv_chan<int> from = ch;
  return {[to] { to.send(1); }, [from] { static_cast<void>(from.len()); }, [from] { from.recv(); }};
}
wake by_one_of_two_channels() {
  auto one = stray::make_chan<int>(), two = stray::make_chan<int>();
  stray::send_chan<int> to_one = one, to_two = two;
  stray::recv_chan<int> a = one, b = two;
  return {[a, b] { stray::select(stray::on_recv(a), stray::on_recv(b)); }, [to_one] { static_cast<void>(to_one.len()); },
          [to_two] { to_two.send(1); }};
}
wake by_group() {
  auto group = std::make_shared<stray::wait_group>();
  group->add(1);
  return {[group] { group->wait(); }, [group] {}, [group] { group->done(); }};
}
wake by_latch() {
  auto latch = std::make_shared<stray::latch>(1);
  return {[latch] { latch->wait(); }, [latch] {}, [latch] { latch->count_down(); }};
}
wake by_semaphore() {
  auto permits = std::make_shared<stray::semaphore>(0);
  return {[permits] { permits->acquire(); }, [permits] {}, [permits] { permits->release(); }};
}
wake by_cancel() {
  auto [context, cancel] = stray::with_cancel(stray::background());
  return {[context = context] { context.done().recv(); }, [cancel = cancel] { static_cast<void>(cancel); },
          [cancel = cancel] { cancel(); }};
}
wake by_cancel_of_the_parent() {
  auto [parent, cancel_parent] = stray::with_cancel(stray::background());
  auto [child, cancel_child] = stray::with_cancel(parent);
  return {[child = child] { child.done().recv(); }, [c = cancel_child] { static_cast<void>(c); }, [c = cancel_parent] { c(); }};
}

struct way {
  const char* name;
  wake (*make)();
};
void PrintTo(const way& w, std::ostream* out) { *out << w.name; }
constexpr way ways[] = {{"channel", by_channel},
                        {"receiving", by_receiving},
                        {"one_of_two_channels", by_one_of_two_channels},
                        {"group", by_group},
                        {"latch", by_latch},
                        {"semaphore", by_semaphore},
                        {"cancel", by_cancel},
                        {"cancel_of_the_parent", by_cancel_of_the_parent}};

[[gnu::noinline]] void block() {
  stray::recv_chan<int> from = stray::make_chan<int>();
  from.recv();
}
[[gnu::noinline]] void block_for_good() noexcept {
  block();
  asm volatile("");
}

std::atomic<int> ended, woken;

struct runs_at_its_end {
  function f;
  ~runs_at_its_end() {
    stray::sleep_for(2ms);  // one that is unwound beside it would be gone by then
    f();
    ended++;
  }
};

std::uint64_t start_waiter(const function& wait) {
  return start([wait = function(wait)]() mutable {
    function f = std::exchange(wait, nullptr);
    f();
    woken++;
  });
}
std::uint64_t start_holder(const function& hold, bool may_end) {
  return start([hold = function(hold), may_end]() mutable {
    function f = std::exchange(hold, nullptr);
    if (may_end) {
      block();
    } else {
      block_for_good();
    }
    f();
  });
}
std::uint64_t start_waker(const function& end) {
  return start([end = function(end)]() mutable {
    runs_at_its_end at_end{std::exchange(end, nullptr)};
    block();
  });
}

struct scene {
  std::uint64_t waiter = 0, holder = 0, waker = 0;
};
[[gnu::noinline]] scene set(const way& how, int order, bool holder_may_end) {
  wake w = how.make();
  ended = woken = 0;
  scene s;
  constexpr int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (int which : orders[order]) {
    if (which == 0) s.waiter = start_waiter(w.wait);
    if (which == 1) s.holder = start_holder(w.hold, holder_may_end);
    if (which == 2) s.waker = start_waker(w.end);
  }
  return s;
}

class several_wakers : public ::testing::TestWithParam<std::tuple<way, int>> {};

void expect_woken(const scene& s, const reclaim_report& r) {
  EXPECT_EQ(of(r, s.waker).outcome, reclaim_outcome::reclaimed) << of(r, s.waker).reason;
  EXPECT_EQ(of(r, s.waiter).outcome, reclaim_outcome::deferred) << of(r, s.waiter).reason;
  until_gone(s.waiter);
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(woken, 1) << "it was unwound";
}

TEST_P(several_wakers, of_which_one_is_refused) {
  const auto& [how, order] = GetParam();
  const scene s = set(how, order, false);
  expect_woken(s, stray::leak::reclaim(until_found({s.waiter, s.holder, s.waker}), {.wait = 1min}));
}

TEST_P(several_wakers, of_which_one_is_left_out) {
  const auto& [how, order] = GetParam();
  const scene s = set(how, order, true);
  const report all = until_found({s.waiter, s.holder, s.waker});
  expect_woken(
      s, stray::leak::reclaim(all.only([&](const auto&, const stray::leak::goroutine& one) { return one.id != s.holder; }),
                              {.wait = 1min}));
}

INSTANTIATE_TEST_SUITE_P(all, several_wakers, ::testing::Combine(::testing::ValuesIn(ways), ::testing::Range(0, 6)),
                         [](const auto& one) {
                           return std::string(std::get<0>(one.param).name) + "_" + std::to_string(std::get<1>(one.param));
                         });

}  // namespace
