// Reader, writer, reader: who asks for a container's CPUs holds the state for reading and asks for it once more, and in between a
// container is removed, which writes.
// expect: 1 StateMemory::get_cpu_set [sync.RWMutex.RLock] cycle @again
// expect: 1 StateMemory::set_default_cpu_set [sync.RWMutex.Lock] cycle @write
// go: allowed
// cause: they wait for each other: goroutine N at @again [sync.RWMutex.RLock] -> goroutine N at @write [sync.RWMutex.Lock] -> goroutine N
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct StateMemory {
  stray::shared_mutex lock;

  void get_cpu_set_or_default(const stray::recv_chan<void>& gate) {
    std::shared_lock locked(lock);
    gate.recv();
    get_cpu_set();
  }
  void get_cpu_set() {
    std::shared_lock locked(lock);  // here: again
  }
  void get_default_cpu_set() { std::shared_lock locked(lock); }
  void set_default_cpu_set() {
    std::lock_guard locked(lock);  // here: write
  }
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
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
