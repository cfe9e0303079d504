// With nothing to clean up, the set of devices stays locked. A goroutine of the test waits for it; the test loses its patience and ends,
// and with it the only one that could unlock the set.
// expect: 1 test_devmapper_lock_released_device_deletion::lambda [sync.Mutex.Lock] proven @lock
// go: required
// cause: the lock (in heap memory) is held by goroutine or thread N, which has ended without unlocking it
#include <memory>
#include <mutex>

#include "report.hpp"

struct DeviceSet {
  stray::mutex lock;
  int deleted_devices = 0;

  bool cleanup_deleted_devices() {
    lock.lock();
    if (deleted_devices == 0) return true;
    lock.unlock();
    return false;
  }
};

void test_devmapper_lock_released_device_deletion() {
  auto ds = std::make_shared<DeviceSet>();
  ds->cleanup_deleted_devices();
  auto done = stray::make_chan<bool>();
  stray::go([ds, done] {
    std::lock_guard locked(ds->lock);  // here: lock
    done.send(true);
  });
  stray::select(stray::on_recv(stray::after(std::chrono::milliseconds(1))), stray::on_recv(done));
}

void start() {
  stray::testing::fake_clock clock;
  stray::go(test_devmapper_lock_released_device_deletion);
  stray::testing::until_parked(2);
  clock.advance(std::chrono::milliseconds(1));
  while (stray::num_goroutine() > 2) stray::yield();  // the test has ended
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
