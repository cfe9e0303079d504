// A worker waits for its queue without the lock.
// expect: nothing
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
    while (items == 0) cond.wait(locked);
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
    from.get();
    std::shared_lock locked(worker_lock);
  }
  void sync() { std::lock_guard locked(worker_lock); }
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
  stray::go([rq] { rq->worker(rq->missing_usage_queue); });
  rq->helper_signals();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
