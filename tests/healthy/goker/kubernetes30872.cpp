// The informer is free again before the queue is asked.
// expect: nothing
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

struct DeltaFIFO {
  stray::shared_mutex lock;
  void has_synced() { std::lock_guard locked(lock); }
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
    std::lock_guard locked(lock);
    stop_controller.close();
  }
  void clusters_synced() {
    std::unique_lock locked(lock);
    locked.unlock();
    controller.queue.has_synced();
  }
  void add_cluster() { std::lock_guard locked(lock); }
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
