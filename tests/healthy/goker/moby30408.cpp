// Who waits also looks whether the plugin has failed.
// expect: nothing
#include <memory>
#include <mutex>
#include <string>

#include "report.hpp"

struct Plugin {
  stray::mutex mu;
  stray::condition_variable changed;
  std::shared_ptr<std::string> manifest;
  std::string activate_error;

  void wait_active() {
    std::unique_lock lock(mu);
    while (!activated()) changed.wait(lock);
  }
  bool activated() const { return manifest != nullptr || !activate_error.empty(); }
  void fail() {
    std::lock_guard lock(mu);
    activate_error = "some junk happened";
    changed.notify_all();
  }
};

void test_active(const std::shared_ptr<Plugin>& p) {
  auto done = stray::make_chan<void>();
  stray::go([p, done] {
    p->wait_active();
    done.close();
  });
  done.recv();
}

void start() {
  auto p = std::make_shared<Plugin>();
  stray::go(test_active, p);
  stray::testing::until_parked(2);
  p->fail();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
