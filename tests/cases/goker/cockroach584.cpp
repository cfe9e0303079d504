// A gossip is closed. bootstrap leaves its loop with the lock held, and manage, on the same goroutine, locks it again.
// expect: 1 Gossip::manage [sync.Mutex.Lock] cycle @manage
// go: allowed
// cause: it holds the lock (in heap memory) itself: locked twice
#include <memory>

#include "report.hpp"

struct Gossip {
  stray::mutex mu;
  bool closed = true;

  void bootstrap() {
    for (;;) {
      mu.lock();
      if (closed) break;
      mu.unlock();
    }
  }
  void manage() {
    for (;;) {
      mu.lock();  // here: manage
      if (closed) break;
      mu.unlock();
    }
  }
};

void start() {
  stray::go([g = std::make_shared<Gossip>()] {
    g->bootstrap();
    g->manage();
  });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
