// The lock is given back before they are removed.
// expect: nothing
#include <memory>
#include <mutex>

#include "report.hpp"

struct ServiceVM {
  stray::mutex lock;

  void hot_add_vhds_at_start() {
    std::unique_lock locked(lock);
    locked.unlock();
    hot_remove_vhds_at_start();
  }
  void hot_remove_vhds_at_start() { std::lock_guard locked(lock); }
};

void start() {
  auto s = std::make_shared<ServiceVM>();
  stray::go([s] { s->hot_add_vhds_at_start(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
