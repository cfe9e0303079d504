// The cache's loop locks the cacher, then the watch cache. An event locks the watch cache, then the cacher.
// expect: 1 WatchCache::replace [sync.RWMutex.Lock] cycle @replace
// expect: 1 Cacher::process_event [sync.Mutex.Lock] cycle @event
// go: allowed
// cause: they wait for each other: goroutine N at @replace [sync.RWMutex.Lock] -> goroutine N at @event [sync.Mutex.Lock] -> goroutine N
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

struct WatchCache {
  stray::shared_mutex lock;
  std::function<void()> on_replace, on_event;

  void add() {
    std::unique_lock locked(lock);
    on_event();
  }
  void replace() {
    std::lock_guard locked(lock);  // here: replace
    on_replace();
  }
};

struct Cacher : std::enable_shared_from_this<Cacher> {
  stray::mutex lock;
  stray::wait_group initialized;
  stray::once init_once;
  WatchCache watch_cache;

  void process_event() {
    std::lock_guard locked(lock);  // here: event
  }
  void start_caching(const stray::recv_chan<void>& gate) {
    lock.lock();
    gate.recv();
    watch_cache.replace();
  }
};

void util(const std::function<void()>& f, const stray::recv_chan<void>& stop) {
  while (stray::select(stray::on_recv(stop), stray::on_default()) != 0) f();
}

std::shared_ptr<Cacher> new_cacher(const stray::recv_chan<void>& gate, const stray::recv_chan<void>& stop) {
  auto cacher = std::make_shared<Cacher>();
  cacher->initialized.add(1);
  cacher->watch_cache.on_replace = [c = cacher.get()] {
    c->init_once.call([c] { c->initialized.done(); });
    c->lock.unlock();
  };
  cacher->watch_cache.on_event = [c = cacher.get()] { c->process_event(); };
  stray::go([cacher, gate, stop] { util([cacher, gate] { cacher->start_caching(gate); }, stop); });
  cacher->initialized.wait();
  return cacher;
}

void start() {
  auto gate = stray::make_chan<void>(1), stop = stray::make_chan<void>();
  gate.send();
  auto c = new_cacher(gate, stop);
  stray::testing::until_parked(1);
  stop.close();
  stray::go([c] { c->watch_cache.add(); });
  stray::testing::until_parked(2);
  gate.close();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
