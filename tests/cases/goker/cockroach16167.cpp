// Reader, writer, reader: a statement runs under the read lock of the system configuration and reads it again for its database, behind a
// writer who has come meanwhile.
// expect: 1 Executor::get_database_cache [sync.RWMutex.RLock] cycle @again
// expect: 1 Executor::update_system_config [sync.RWMutex.Lock] cycle @write
// go: allowed
// cause: they wait for each other: goroutine N at @again [sync.RWMutex.RLock] -> goroutine N at @write [sync.RWMutex.Lock] -> goroutine N
// cause: they wait for each other: goroutine N at @write [sync.RWMutex.Lock] -> goroutine N at @again [sync.RWMutex.RLock] -> goroutine N
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct Executor;

struct Session {
  void reset_for_batch(Executor& e);
};

struct Executor {
  stray::shared_mutex system_config_mu;

  void run() { update_system_config(); }
  void exec_parsed(Session& session, const stray::recv_chan<void>& gate) {
    std::shared_lock lock(system_config_mu);
    gate.recv();
    prepare(session);
  }
  void prepare(Session& session) { session.reset_for_batch(*this); }
  void get_database_cache() {
    std::shared_lock lock(system_config_mu);  // here: again
  }
  void update_system_config() {
    std::lock_guard lock(system_config_mu);  // here: write
  }
};

void Session::reset_for_batch(Executor& e) { e.get_database_cache(); }

void start() {
  auto gate = stray::make_chan<void>();
  auto e = std::make_shared<Executor>();
  stray::go([e, gate = stray::recv_chan<void>(gate)] {
    Session session;
    e->exec_parsed(session, gate);
  });
  stray::testing::until_parked(1);
  stray::go([e] { e->run(); });
  stray::testing::until_parked(2);
  gate.close();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
