// A keeper of tokens is about to delete one that is too old, which locks the tokens. A user is assigned one under that lock, and waits
// until the keeper takes it: the keeper's channel has room for one, and a token is in it. The test waits for all users.
// expect: 1 SimpleTokenTTLKeeper::add_simple_token [chan send] proven @add
// expect: 1 TokenSimple::enable::lambda [sync.RWMutex.Lock] proven @delete
// expect: 1 setup_and_authenticate [sync.WaitGroup.Wait] proven @users
// go: allowed
// cause: they wait for each other: goroutine N at @delete [sync.RWMutex.Lock] -> goroutine N at @add [chan send] -> goroutine N
// cause: it waits for goroutine N, leaked at @add [chan send]; the root leak is goroutine N at @delete [sync.RWMutex.Lock]
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct SimpleTokenTTLKeeper {
  std::function<void()> delete_token;
  stray::chan<void> add_chan = stray::make_chan<void>(1);
  stray::chan<stray::chan<void>> stop_chan = stray::make_chan<stray::chan<void>>();

  void run(const stray::recv_chan<void>& gate) {
    stray::ticker tick(std::chrono::seconds(1));
    int tokens = 0;
    bool stopped = false;
    auto stop = [&stopped](const std::optional<stray::chan<void>>& answer) {
      answer->send();
      stopped = true;
    };
    while (!stopped) {
      std::size_t chosen =
          stray::select(stray::on_recv(add_chan), stray::on_recv(tick.channel()), stray::on_recv(stop_chan, stop));
      if (chosen == 0) tokens++;
      if (chosen != 1 || tokens == 0) continue;
      gate.recv();
      for (; tokens != 0; tokens--) delete_token();
    }
  }
  void add_simple_token() {
    add_chan.send();  // here: add
  }
  void stop() {
    auto answer = stray::make_chan<void>();
    stop_chan.send(answer);
    answer.recv();
  }
};

struct TokenSimple {
  std::shared_ptr<SimpleTokenTTLKeeper> keeper;
  stray::shared_mutex simple_tokens_mu;

  void enable(const stray::recv_chan<void>& gate) {
    keeper = std::make_shared<SimpleTokenTTLKeeper>();
    keeper->delete_token = [this] {
      std::lock_guard lock(simple_tokens_mu);  // here: delete
    };
    stray::go([keeper = keeper, gate] { keeper->run(gate); });
  }
  void assign() {
    std::unique_lock lock(simple_tokens_mu);
    keeper->add_simple_token();
  }
  void disable() { keeper->stop(); }
};

void setup_and_authenticate(const stray::recv_chan<void>& gate, const std::array<stray::recv_chan<void>, 3>& turns) {
  auto tokens = std::make_shared<TokenSimple>();
  tokens->enable(gate);
  stray::wait_group users;
  for (const auto& turn : turns) {
    users.go([tokens, turn] {
      turn.recv();
      tokens->assign();
    });
  }
  users.wait();  // here: users
  tokens->disable();
}

void start(stray::testing::fake_clock& clock) {
  auto gate = stray::make_chan<void>();
  std::array<stray::chan<void>, 3> turns{stray::make_chan<void>(), stray::make_chan<void>(), stray::make_chan<void>()};
  stray::go([gate = stray::recv_chan<void>(gate), turns = std::array<stray::recv_chan<void>, 3>{turns[0], turns[1], turns[2]}] {
    setup_and_authenticate(gate, turns);
  });
  stray::testing::until_parked(5);
  turns[0].close();
  while (stray::num_goroutine() > 5) stray::yield();
  stray::testing::until_parked(4);
  clock.advance(std::chrono::seconds(1));
  stray::testing::until_parked(4);
  turns[1].close();
  while (stray::num_goroutine() > 4) stray::yield();
  turns[2].close();
  stray::testing::until_parked(3);
  gate.close();
  stray::testing::until_parked(3);
}

int main() {
  stray::testing::fake_clock clock;
  stray::wait_group scene;
  scene.go([&clock] { start(clock); });  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
