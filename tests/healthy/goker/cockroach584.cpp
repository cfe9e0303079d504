// Both loops give the lock back before they end.
// expect: nothing
#include <memory>

#include "report.hpp"

struct Gossip {
  stray::mutex mu;
  bool closed = true;

  void bootstrap() {
    for (;;) {
      mu.lock();
      bool end = closed;
      mu.unlock();
      if (end) break;
    }
  }
  void manage() {
    for (;;) {
      mu.lock();
      bool end = closed;
      mu.unlock();
      if (end) break;
    }
  }
};

void start() {
  stray::go([g = std::make_shared<Gossip>()] {
    g->bootstrap();
    g->manage();
  });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
