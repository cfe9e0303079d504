// The informer's loop locks the queue and adds a cluster, which locks the informer. Reconciling locks the informer and asks whether the
// queue is synced, which locks the queue. Who stops the informer waits for its lock.
// expect: 1 FederatedInformer::add_cluster [sync.Mutex.Lock] cycle @add
// expect: 1 DeltaFIFO::has_synced [sync.RWMutex.Lock] cycle @synced
// expect: 1 FederatedInformer::stop [sync.Mutex.Lock] proven @stop
// go: allowed
// cause: they wait for each other: goroutine N at @add [sync.Mutex.Lock] -> goroutine N at @synced [sync.RWMutex.Lock] -> goroutine N
// cause: is held by goroutine N, which is itself leaked; goroutine N is blocked at @synced [sync.RWMutex.Lock]
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

struct DeltaFIFO {
  stray::shared_mutex lock;
  void has_synced() {
    std::lock_guard locked(lock);  // here: synced
  }
  void pop(const std::function<void()>& process) {
    std::lock_guard locked(lock);
    process();
  }
};

struct Controller {
  DeltaFIFO queue;
  std::function<void()> process;
  void run(const stray::recv_chan<void>& stop) {
    while (stray::select(stray::on_recv(stop), stray::on_default()) != 0) {
      queue.pop(process);
      stray::yield();
    }
  }
};

struct FederatedInformer : std::enable_shared_from_this<FederatedInformer> {
  stray::mutex lock;
  Controller controller;
  stray::chan<void> stop_controller = stray::make_chan<void>();

  void start() {
    std::lock_guard locked(lock);
    stray::go([self = shared_from_this()] { self->controller.run(self->stop_controller); });
  }
  void stop() {
    std::lock_guard locked(lock);  // here: stop
    stop_controller.close();
  }
  void clusters_synced() {
    std::unique_lock locked(lock);
    controller.queue.has_synced();
  }
  void add_cluster() {
    std::lock_guard locked(lock);  // here: add
  }
};

struct NamespaceController {
  std::shared_ptr<FederatedInformer> informer;
  void run(const stray::recv_chan<void>& stop, const stray::recv_chan<void>& gate) {
    informer->start();
    stray::go([i = informer, stop] {
      stop.recv();
      i->stop();
    });
    stray::go([i = informer, gate] {
      gate.recv();
      i->clusters_synced();
    });
  }
};

void start() {
  auto stop = stray::make_chan<void>(), popped = stray::make_chan<void>(), reconcile = stray::make_chan<void>();
  NamespaceController nc{std::make_shared<FederatedInformer>()};
  nc.informer->controller.process = [i = nc.informer.get(), popped = stray::recv_chan<void>(popped)] {
    popped.recv();
    i->add_cluster();
  };
  nc.run(stop, reconcile);
  stray::testing::until_parked(3);
  reconcile.close();
  stray::testing::until_parked(3);
  popped.close();
  stop.close();
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
