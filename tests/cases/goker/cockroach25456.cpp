// A queue works on a replica until its store quiesces. Who would tell it so is the one that waits.
// expect: 1 ConsistencyQueue::process [chan receive] proven @quiesce
// go: required
#include <memory>

#include "report.hpp"

struct Stopper {
  stray::chan<void> quiescer = stray::make_chan<void>();

  stray::recv_chan<void> should_quiesce() const { return quiescer; }
};

struct Store;

struct Replica {
  Store* store;
};

struct ConsistencyQueue {
  void process(const Replica& r);
};

struct Store {
  Stopper stopper;
  ConsistencyQueue consistency_queue;
};

void ConsistencyQueue::process(const Replica& r) {
  r.store->stopper.should_quiesce().recv();  // here: quiesce
}

void start() {
  stray::go([] {
    auto store = std::make_unique<Store>();
    Replica replica{store.get()};
    for (int i = 0; i < 2; i++) store->consistency_queue.process(replica);
  });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
