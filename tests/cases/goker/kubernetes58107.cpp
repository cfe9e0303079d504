// A worker waits for its queue to be filled, and holds the workers' lock for reading meanwhile. Sync waits for that reader, a second
// worker for sync. Who filled the queues has ended.
// expect: 1 Type::get [sync.Cond.Wait] proven @cond
// expect: 1 ResourceQuotaController::sync [sync.RWMutex.Lock] proven @sync
// expect: 1 ResourceQuotaController::worker [sync.RWMutex.RLock] proven @read
// go: allowed
// cause: is held for reading by goroutine N, which is itself leaked
// cause: is held, or asked for before, by goroutine N, which is itself leaked
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct Type {
  stray::mutex lock;
  stray::condition_variable cond;
  int items = 0;

  void get() {
    std::unique_lock locked(lock);
    while (items == 0) cond.wait(locked);  // here: cond
    items--;
  }
  void put() {
    std::lock_guard locked(lock);
    items++;
    cond.notify_one();
  }
};

struct ResourceQuotaController {
  stray::shared_mutex worker_lock;
  Type queue, missing_usage_queue;

  void worker(Type& from) {
    std::shared_lock locked(worker_lock);  // here: read
    from.get();
  }
  void sync() {
    std::lock_guard locked(worker_lock);  // here: sync
  }
  void helper_signals() {
    queue.put();
    missing_usage_queue.put();
  }
};

void start() {
  auto rq = std::make_shared<ResourceQuotaController>();
  stray::go([rq] { rq->worker(rq->queue); });
  stray::testing::until_parked(1);
  rq->helper_signals();
  while (stray::num_goroutine() > 1) stray::yield();
  stray::go([rq] { rq->worker(rq->queue); });
  stray::testing::until_parked(1);
  stray::go([rq] { rq->sync(); });
  stray::testing::until_parked(2);
  stray::go([rq] { rq->worker(rq->missing_usage_queue); });
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
