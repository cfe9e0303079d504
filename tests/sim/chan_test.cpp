// Channels and select: every value arrives once, in order; nobody sleeps on.
#include "sim.h"

#include <atomic>
#include <memory>
#include <vector>

#include <stray/stray.hpp>

namespace {

using stray::chan;
using stray::make_chan;
using stray::wait_group;

// Senders and receivers, of which one is an OS thread; values of one sender come in order to each receiver.
void traffic(std::size_t capacity) {
  constexpr int senders = 3, each = 5, receivers = 2;
  auto ch = make_chan<int>(capacity);
  wait_group sending, all;
  std::vector<std::vector<int>> got(receivers);
  auto send = [=](int s) {
    for (int i = 0; i < each; i++) ch.send(s * 100 + i);
  };
  auto receive = [&got, ch](int r) {
    while (std::optional<int> v = ch.recv()) got[static_cast<std::size_t>(r)].push_back(*v);
  };
  sim::thread outside([=] { send(0); });
  for (int s = 1; s < senders; s++) sending.go([=] { send(s); });
  for (int r = 0; r < receivers; r++) all.go([=] { receive(r); });
  outside.join();
  sending.wait();
  ch.close();
  all.wait();
  std::vector<int> seen(senders * 100);
  for (const auto& values : got) {
    int last[senders] = {-1, -1, -1};
    for (int v : values) {
      SIM_CHECK(v % 100 > last[v / 100]);
      last[v / 100] = v % 100;
      seen[static_cast<std::size_t>(v)]++;
    }
  }
  for (int s = 0; s < senders; s++) {
    for (int i = 0; i < each; i++) SIM_CHECK(seen[static_cast<std::size_t>(s * 100 + i)] == 1);
  }
}
SIM_TEST(chan, unbuffered) { traffic(0); }
SIM_TEST(chan, buffered) { traffic(sim::random(3) + 1); }

// Elements with destructors take the path of slots that are vacated after the lock.
SIM_TEST(chan, elements_that_own_memory) {
  auto ch = make_chan<std::shared_ptr<int>>(2);
  auto token = std::make_shared<int>(7);
  wait_group all;
  for (int s = 0; s < 3; s++) {
    all.go([=] {
      for (int i = 0; i < 4; i++) ch.send(token);
    });
  }
  for (int r = 0; r < 2; r++) {
    all.go([=] {
      for (int i = 0; i < 5; i++) SIM_CHECK(**ch.recv() == 7);
    });
  }
  all.wait();
  SIM_CHECK(ch.len() == 2);
  for (int i = 0; i < 2; i++) ch.recv();
  while (stray::num_goroutine() != 0) stray::sleep_for(std::chrono::microseconds(10));  // their closures hold one each
  SIM_CHECK(token.use_count() == 1);
}

// close against blocked and arriving senders and receivers: each operation ends, with a value, with closed, or with a panic.
SIM_TEST(chan, close_during_everything) {
  auto ch = make_chan<int>(sim::random(3));
  std::atomic<int> sent{0}, received{0}, panics{0};
  wait_group all;
  for (int s = 0; s < 3; s++) {
    all.go([&, ch] {
      for (int i = 0; i < 3; i++) {
        try {
          ch.send(i);
          sent++;
        } catch (const stray::panic&) {
          panics++;
        }
      }
    });
  }
  for (int r = 0; r < 2; r++) {
    all.go([&, ch] {
      while (ch.recv()) received++;
    });
  }
  for (std::uint32_t n = sim::random(20); n > 0; n--) stray::yield();
  ch.close();
  all.wait();
  SIM_CHECK(sent == received);
  SIM_CHECK(sent + panics == 9);
}

SIM_TEST(chan, try_operations_beside_blocking_ones) {
  auto ch = make_chan<int>(1);
  std::atomic<int> sent{0}, received{0};
  wait_group all;
  all.go([&, ch] {
    for (int i = 0; i < 6; i++) sent += ch.try_send(i);
  });
  all.go([&, ch] {
    for (int i = 0; i < 3; i++) ch.send(i), sent++;
    ch.send(-1);
  });
  all.go([&, ch] {
    for (;;) {
      auto v = ch.recv();
      if (*v < 0) break;
      received++;
    }
  });
  all.wait();
  for (std::optional<int> v; ch.try_recv(v) == stray::chan_status::ok;) received++;
  SIM_CHECK(sent == received);
}

// The last handle goes while another thread is just leaving the channel.
SIM_TEST(chan, last_handle_goes) {
  for (int i = 0; i < 4; i++) {
    auto ch = make_chan<int>(1);
    stray::go([ch] { ch.send(1); });
    stray::go([ch = std::move(ch)] { ch.recv(); });
  }
}

// Two selects meet each other in both directions.
SIM_TEST(select, send_and_receive_meet) {
  auto a = make_chan<int>(), b = make_chan<int>();
  std::atomic<int> sent{0}, received{0};
  wait_group all;
  for (int g = 0; g < 4; g++) {
    all.go([&, a, b, g] {
      bool down = g % 2 == 0;
      for (int i = 0; i < 4; i++) {
        stray::select(stray::on_send(down ? a : b, 1, [&] { sent++; }),
                      stray::on_recv(down ? b : a, [&](std::optional<int>) { received++; }));
      }
    });
  }
  all.wait();
  SIM_CHECK(sent == received);
  SIM_CHECK(sent + received == 16);
}

// Several cases become ready at once: one fires, the others lose nothing.
SIM_TEST(select, one_of_many_fires) {
  std::vector<chan<int>> in;
  for (int i = 0; i < 3; i++) in.push_back(make_chan<int>(sim::random(2)));
  std::atomic<int> sum{0};
  wait_group all;
  for (const chan<int>& ch : in) {
    all.go([=] {
      for (int i = 0; i < 4; i++) ch.send(1);
    });
  }
  for (int r = 0; r < 2; r++) {
    all.go([&] {
      auto add = [&](std::optional<int> v) { sum += *v; };
      for (int i = 0; i < 6; i++)
        stray::select(stray::on_recv(in[0], add), stray::on_recv(in[1], add), stray::on_recv(in[2], add));
    });
  }
  all.wait();
  SIM_CHECK(sum == 12);
}

SIM_TEST(select, the_same_channel_twice) {
  auto ch = make_chan<int>();
  std::atomic<int> n{0};
  wait_group all;
  all.go([&, ch] {
    auto count = [&](std::optional<int>) { n++; };
    for (int i = 0; i < 6; i++) stray::select(stray::on_recv(ch, count), stray::on_recv(ch, count));
  });
  for (int s = 0; s < 2; s++) {
    all.go([=] {
      for (int i = 0; i < 3; i++) stray::select(stray::on_send(ch, 1), stray::on_send(ch, 2));
    });
  }
  all.wait();
  SIM_CHECK(n == 6);
}

SIM_TEST(select, close_wakes_selects) {
  auto data = make_chan<int>();
  auto quit = make_chan<void>();
  std::atomic<int> ended{0};
  wait_group all;
  for (int g = 0; g < 4; g++) {
    all.go([&, data, quit] {
      for (bool on = true; on;)
        stray::select(stray::on_recv(data, [](std::optional<int>) {}), stray::on_recv(quit, [&](bool) { on = false; }));
      ended++;
    });
  }
  for (int i = 0; i < 5; i++) data.send(i);
  quit.close();
  all.wait();
  SIM_CHECK(ended == 4);
}

SIM_TEST(select, with_default_never_blocks) {
  auto ch = make_chan<int>();
  std::atomic<int> sent{0}, received{0};
  wait_group all;
  all.go([&, ch] {
    while (received < 3) {
      stray::select(stray::on_recv(ch, [&](std::optional<int>) { received++; }), stray::on_default());
      stray::yield();
    }
  });
  all.go([&, ch] {
    for (int i = 0; i < 3; i++) ch.send(i), sent++;
  });
  all.wait();
  SIM_CHECK(sent == 3);
}

}  // namespace
