// The checkpointer is called without the lock.
// expect: nothing
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

struct Lessor {
  stray::shared_mutex mu;
  std::function<void()> checkpointer;

  void checkpoint() { std::lock_guard lock(mu); }
  void set_checkpointer(std::function<void()> cp) {
    std::lock_guard lock(mu);
    checkpointer = std::move(cp);
  }
  void renew() {
    std::unique_lock lock(mu);
    lock.unlock();
    if (checkpointer) checkpointer();
  }
};

void start() {
  stray::go([] {
    auto lessor = std::make_unique<Lessor>();
    lessor->set_checkpointer([l = lessor.get()] { l->checkpoint(); });
    lessor->renew();
  });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
