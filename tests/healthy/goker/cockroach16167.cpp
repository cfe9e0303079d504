// The statement runs without the read lock.
// expect: nothing
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
    lock.unlock();
    gate.recv();
    prepare(session);
  }
  void prepare(Session& session) { session.reset_for_batch(*this); }
  void get_database_cache() { std::shared_lock lock(system_config_mu); }
  void update_system_config() { std::lock_guard lock(system_config_mu); }
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
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
