// The lock is given back before the end.
// expect: nothing
#include <memory>
#include <mutex>

#include "report.hpp"

struct Logging {
  stray::mutex mu;

  void output_log_entry() {
    std::unique_lock lock(mu);
    if (!create_file()) {
      lock.unlock();
      exit();
    }
  }
  bool create_file() { return false; }
  void exit() { std::lock_guard lock(mu); }
};

void start() {
  stray::go([l = std::make_shared<Logging>()] { l->output_log_entry(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
