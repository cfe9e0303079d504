// A select and its partner: every kind meets every kind, whoever comes first; cases of one channel share it; a queue stays whole when a select
// in it goes elsewhere; what can never go waits for ever.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <span>
#include <unistd.h>
#include <vector>

#include <stray/go.hpp>
#include <stray/select.hpp>
#include <stray/testing/control.hpp>
#include <stray/wait_group.hpp>
#include "base/arch.h"
#include "runtime/test_waits.h"

namespace stray {
namespace {

using namespace std::chrono_literals;
using stray::testing::until_parked;

std::size_t select_of(std::vector<select_case>& cases) { return select(std::span<select_case>(cases)); }

class select_pairs : public ::testing::Test {
 protected:
  void TearDown() override { all_ended(); }
};

// --- kinds ----------------------------------------------------------------------------------------------------------------------------

struct sender {
  bool waits;  // parks until somebody takes the value
  void (*send)(const chan<int>& ch);
};
constexpr sender senders[] = {
    {true, [](const chan<int>& ch) { ch.send(1); }},
    {true, [](const chan<int>& ch) { select(on_send(ch, 1)); }},
    {true,
     [](const chan<int>& ch) {
       auto other = make_chan<int>();
       select(on_recv(other), on_send(ch, 1), on_send(other, 2));
     }},
    {true, [](const chan<int>& ch) { select(on_send(ch, 1), on_timeout(1h)); }},
    {true,
     [](const chan<int>& ch) {
       std::vector<select_case> cases;
       cases.push_back(on_recv(chan<int>()));
       cases.push_back(on_send(ch, 1));
       select_of(cases);
     }},
    {false, [](const chan<int>& ch) { until([&] { return ch.try_send(1); }); }},
    {false, [](const chan<int>& ch) { until([&] { return select(on_send(ch, 1), on_default()) == 0; }); }},
};
struct receiver {
  bool waits;
  int (*receive)(const chan<int>& ch);
};
constexpr receiver receivers[] = {
    {true, [](const chan<int>& ch) { return ch.recv().value_or(-1); }},
    {true,
     [](const chan<int>& ch) {
       int got = 0;
       select(on_recv(ch, [&](std::optional<int> v) { got = *v; }));
       return got;
     }},
    {true,
     [](const chan<int>& ch) {
       auto other = make_chan<int>();
       int got = 0;
       select(on_send(other, 2), on_recv(ch, [&](std::optional<int> v) { got = *v; }), on_recv(other));
       return got;
     }},
    {true, [](const chan<int>& ch) { return select(on_recv(ch), on_timeout(1h)) == 0 ? 1 : -1; }},  // the value discarded
    {true,
     [](const chan<int>& ch) {
       int got = 0;
       std::vector<select_case> cases;
       cases.push_back(on_recv(ch, [&](std::optional<int> v) { got = *v; }));
       cases.push_back(on_send(chan<int>(), 2));
       select_of(cases);
       return got;
     }},
    {false,
     [](const chan<int>& ch) {
       std::optional<int> v;
       until([&] { return ch.try_recv(v) == chan_status::ok; });
       return *v;
     }},
    {false,
     [](const chan<int>& ch) {
       until([&] { return select(on_recv(ch), on_default()) == 0; });
       return 1;
     }},
};

void meet(const sender& s, const receiver& r, std::size_t capacity, bool sender_first) {
  auto ch = make_chan<int>(capacity);
  std::atomic<int> got{0};
  if (sender_first) {
    go([&] { s.send(ch); });
    if (s.waits && capacity == 0) until_parked(1);
    got = r.receive(ch);
  } else {
    go([&] { got = r.receive(ch); });
    if (r.waits) until_parked(1);
    s.send(ch);
  }
  all_ended();
  EXPECT_EQ(got, 1);
  EXPECT_EQ(ch.len(), 0u);
}
TEST_F(select_pairs, every_kind_of_sender_meets_every_kind_of_receiver) {
  for (std::size_t s = 0; s < std::size(senders); s++) {
    for (std::size_t r = 0; r < std::size(receivers); r++) {
      for (std::size_t capacity : {0u, 1u}) {
        if (capacity == 0 && !senders[s].waits && !receivers[r].waits) continue;  // neither is ever there for the other
        for (bool sender_first : {false, true}) {
          SCOPED_TRACE(::testing::Message() << "sender " << s << " receiver " << r << " capacity " << capacity);
          meet(senders[s], receivers[r], capacity, sender_first);
        }
      }
    }
  }
}

// --- one channel in several cases -------------------------------------------------------------------------------------------------------

TEST_F(select_pairs, two_cases_of_one_channel_are_both_chosen) {
  constexpr int n = 300;
  auto roomy = make_chan<int>(n), ch = make_chan<int>();
  int at_once = 0, by_receiver = 0;
  for (int i = 0; i < n; i++) at_once += select(on_send(roomy, 0), on_send(roomy, 1)) == 1;
  go([ch] {
    for (int i = 0; i < n; i++) select(on_send(ch, 0), on_send(ch, 1));
  });
  for (int i = 0; i < n; i++) {
    until_parked(1);
    by_receiver += *ch.recv();
  }
  all_ended();
  std::atomic<int> by_sender{0};
  go([ch, &by_sender] {
    for (int i = 0; i < n; i++) by_sender += select(on_recv(ch), on_recv(ch)) == 1;
  });
  for (int i = 0; i < n; i++) {
    until_parked(1);
    ch.send(i);
  }
  all_ended();
  for (int second : {at_once, by_receiver, by_sender.load()}) {
    EXPECT_GT(second, n / 10);
    EXPECT_LT(second, n - n / 10);
  }
}

// Three wait in one queue, each with two nodes; one goes elsewhere, whether it is first, in the middle or last, and comes back behind the others.
void leave(bool sends, std::size_t leaver) {
  auto ch = make_chan<int>();
  std::array<chan<int>, 3> ways_out{make_chan<int>(), make_chan<int>(), make_chan<int>()};
  std::array<std::atomic<int>, 3> got{};
  for (std::size_t i = 0; i < 3; i++) {
    go([&, i] {
      const int me = static_cast<int>(i);
      auto take = [&](std::optional<int> v) { got[i] = *v; };
      if (sends) {
        if (select(on_send(ch, me), on_send(ch, me), on_recv(ways_out[i])) == 2) ch.send(me);
      } else {
        if (select(on_recv(ch, take), on_recv(ways_out[i]), on_recv(ch, take)) == 1) take(ch.recv());
      }
    });
    until_parked(i + 1);
  }
  ways_out[leaver].send(0);
  until_parked(3);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < 3; i++) {
    if (i != leaver) order.push_back(i);
  }
  order.push_back(leaver);
  for (std::size_t k = 0; k < 3; k++) {
    if (sends) {
      EXPECT_EQ(ch.recv(), static_cast<int>(order[k]));
    } else {
      ch.send(10 + static_cast<int>(k));
    }
  }
  all_ended();
  for (std::size_t k = 0; !sends && k < 3; k++) EXPECT_EQ(got[order[k]], 10 + static_cast<int>(k));
  EXPECT_FALSE(ch.try_send(0));
}
TEST_F(select_pairs, a_queue_stays_whole_when_a_select_in_it_goes_elsewhere) {
  for (bool sends : {false, true}) {
    for (std::size_t leaver = 0; leaver < 3; leaver++) leave(sends, leaver);
  }
}

// --- for ever ---------------------------------------------------------------------------------------------------------------------------

TEST_F(select_pairs, of_what_can_never_go_blocks_for_ever) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto body = [] {  // a process of its own: these goroutines never end
    std::atomic<int> through{0};
    chan<int> nil;
    auto empty = make_chan<int>(), full = make_chan<int>(1);
    full.send(1);
    go([&] { select(on_send(nil, 1)), through++; });
    go([&] { select(on_recv(nil), on_send(nil, 1), on_recv(chan<void>()), on_send(send_chan<void>())), through++; });
    go([&] { select(on_recv(empty)), through++; });
    go([&] { select(on_send(full, 2), on_recv(empty), on_recv(nil)), through++; });
    go([&] {
      std::vector<select_case> cases;
      cases.push_back(on_send(nil, 1));
      cases.push_back(on_send(full, 2));
      select_of(cases), through++;
    });
    until_parked(5);
    std::_Exit(through);
  };
  EXPECT_EXIT(body(), ::testing::ExitedWithCode(0), "^$");
}

// A record of a wait that stayed behind would be 64 bytes: more than 10 MB here.
std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}
TEST_F(select_pairs, selects_leave_no_memory_behind) {
#if defined(STRAY_ASAN) || defined(STRAY_TSAN)
  GTEST_SKIP() << "resident memory is the sanitizer's own: shadow, freed blocks kept back";
#endif
  auto ch = make_chan<int>(), never = make_chan<int>();
  auto run = [&](int n) {
    wait_group group;
    group.go([&, n] {
      for (int i = 0; i < n; i++) ch.send(1);
    });
    for (int i = 0; i < n; i++) select(on_recv(ch), on_recv(never));
    group.go([&, n] {
      for (int i = 0; i < n; i++) select(on_recv(never), on_recv(ch));
    });
    for (int i = 0; i < n; i++) ch.send(1);
    group.wait();
  };
  run(1000);
  std::size_t before = resident_bytes();
  run(50000);
  EXPECT_LT(resident_bytes(), before + (4u << 20));
}

}  // namespace
}  // namespace stray
