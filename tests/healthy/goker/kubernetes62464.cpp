// Who reads already does not ask again.
// expect: nothing
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct StateMemory {
  stray::shared_mutex lock;

  void get_cpu_set_or_default(const stray::recv_chan<void>& gate) {
    std::shared_lock locked(lock);
    gate.recv();
  }
  void get_default_cpu_set() { std::shared_lock locked(lock); }
  void set_default_cpu_set() { std::lock_guard locked(lock); }
};

void remove_container(StateMemory& state) {
  state.get_default_cpu_set();
  state.set_default_cpu_set();
}
void reconcile_state(StateMemory& state, const stray::recv_chan<void>& gate) { state.get_cpu_set_or_default(gate); }

void start() {
  auto gate = stray::make_chan<void>();
  auto state = std::make_shared<StateMemory>();
  stray::go([state, gate = stray::recv_chan<void>(gate)] { reconcile_state(*state, gate); });
  stray::testing::until_parked(1);
  stray::go([state] { remove_container(*state); });
  stray::testing::until_parked(2);
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
