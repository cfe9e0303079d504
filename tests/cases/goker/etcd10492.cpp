// A lease is renewed under the lessor's lock, which calls the checkpointer, which locks the lessor.
// expect: 1 Lessor::checkpoint [sync.RWMutex.Lock] cycle @checkpoint
// go: required
// cause: it holds the lock (in heap memory) itself: locked twice
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

struct Lessor {
  stray::shared_mutex mu;
  std::function<void()> checkpointer;

  void checkpoint() {
    std::lock_guard lock(mu);  // here: checkpoint
  }
  void set_checkpointer(std::function<void()> cp) {
    std::lock_guard lock(mu);
    checkpointer = std::move(cp);
  }
  void renew() {
    std::unique_lock lock(mu);
    if (checkpointer) checkpointer();
  }
};

void start() {
  stray::go([] {
    auto lessor = std::make_unique<Lessor>();
    lessor->set_checkpointer([l = lessor.get()] { l->checkpoint(); });
    lessor->renew();
  });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
