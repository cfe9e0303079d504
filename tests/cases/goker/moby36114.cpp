// To add disks, the virtual machine's lock is taken; it fails and removes them again, which takes the lock once more.
// expect: 1 ServiceVM::hot_remove_vhds_at_start [sync.Mutex.Lock] cycle @lock
// go: allowed
// cause: it holds the lock (in heap memory) itself: locked twice
#include <memory>
#include <mutex>

#include "report.hpp"

struct ServiceVM {
  stray::mutex lock;

  void hot_add_vhds_at_start() {
    std::unique_lock locked(lock);
    hot_remove_vhds_at_start();
  }
  void hot_remove_vhds_at_start() {
    std::lock_guard locked(lock);  // here: lock
  }
};

void start() {
  auto s = std::make_shared<ServiceVM>();
  stray::go([s] { s->hot_add_vhds_at_start(); });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
