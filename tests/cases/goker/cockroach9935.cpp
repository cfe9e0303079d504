// A log entry is written under the lock. The file cannot be made, and the end that follows locks again.
// expect: 1 Logging::exit [sync.Mutex.Lock] cycle @exit
// go: allowed
// cause: it holds the lock (in heap memory) itself: locked twice
#include <memory>
#include <mutex>

#include "report.hpp"

struct Logging {
  stray::mutex mu;

  void output_log_entry() {
    std::unique_lock lock(mu);
    if (!create_file()) {
      exit();
    }
  }
  bool create_file() { return false; }
  void exit() {
    std::lock_guard lock(mu);  // here: exit
  }
};

void start() {
  stray::go([l = std::make_shared<Logging>()] { l->output_log_entry(); });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
