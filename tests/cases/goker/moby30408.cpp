// A goroutine waits until the plugin is active. It is woken because the plugin has failed, and does not look at that; the test waits
// for it.
// expect: 1 Plugin::wait_active [sync.Cond.Wait] proven @active
// expect: 1 test_active [chan receive] proven @done
// go: required
// cause: goroutine N at @done [chan receive] -> goroutine N at @active [sync.Cond.Wait]
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
    while (!activated()) changed.wait(lock);  // here: active
  }
  bool activated() const { return manifest != nullptr; }
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
  done.recv();  // here: done
}

void start() {
  auto p = std::make_shared<Plugin>();
  stray::go(test_active, p);
  stray::testing::until_parked(2);
  p->fail();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
