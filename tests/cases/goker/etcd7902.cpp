// An election in rounds: a follower waits, with the common lock held, until the leader opens the next round. The leader wants the lock for
// that, and so does the other follower. Who started them waits for all.
// expect: 2 do_rounds::lambda [sync.Mutex.Lock] proven @lock
// expect: 1 RoundClient::release [chan receive] proven @next
// expect: 1 do_rounds [sync.WaitGroup.Wait] proven @all
// go: allowed
// cause: they wait for each other: goroutine N at @next [chan receive] -> (one of several) goroutine N at @lock [sync.Mutex.Lock] -> goroutine N
// cause: it waits for goroutine N, leaked at @lock [sync.Mutex.Lock]
#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "report.hpp"

struct Election {
  stray::mutex mu;
  stray::chan<void> next = stray::make_chan<void>();
};

struct RoundClient {
  Election* election;
  bool leader;
  stray::chan<void> own_next{};

  void validate() { own_next = election->next; }
  void release() {
    if (leader) {
      election->next.close();
      election->next = stray::make_chan<void>();
    }
    own_next.recv();  // here: next
  }
};

void do_rounds(Election& election, std::vector<RoundClient>& clients, const std::array<stray::recv_chan<void>, 3>& gates) {
  stray::wait_group all;
  for (std::size_t i = 0; i < clients.size(); i++) {
    all.go([&election, &rc = clients[i], gate = gates[i]] {
      election.mu.lock();
      rc.validate();
      election.mu.unlock();
      gate.recv();
      election.mu.lock();  // here: lock
      rc.release();
      election.mu.unlock();
    });
  }
  all.wait();  // here: all
}

void run_election(const std::array<stray::recv_chan<void>, 3>& gates) {
  Election election;
  std::vector<RoundClient> clients{{&election, true}, {&election, false}, {&election, false}};
  do_rounds(election, clients, gates);
}

void start() {
  std::array<stray::chan<void>, 2> gates{stray::make_chan<void>(), stray::make_chan<void>()};
  stray::go([g = std::array<stray::recv_chan<void>, 3>{gates[1], gates[0], gates[1]}] { run_election(g); });
  stray::testing::until_parked(4);
  gates[0].close();
  stray::testing::until_parked(4);
  gates[1].close();
  stray::testing::until_parked(4);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
