// The store quiesces before.
// expect: nothing
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

void ConsistencyQueue::process(const Replica& r) { r.store->stopper.should_quiesce().recv(); }

void start() {
  stray::go([] {
    auto store = std::make_unique<Store>();
    Replica replica{store.get()};
    store->stopper.quiescer.close();
    for (int i = 0; i < 2; i++) store->consistency_queue.process(replica);
  });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
