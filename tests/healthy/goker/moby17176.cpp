// The set is unlocked on every way out.
// expect: nothing
#include <memory>
#include <mutex>

#include "report.hpp"

struct DeviceSet {
  stray::mutex lock;
  int deleted_devices = 0;

  bool cleanup_deleted_devices() {
    std::lock_guard locked(lock);
    return deleted_devices == 0;
  }
};

void test_devmapper_lock_released_device_deletion() {
  auto ds = std::make_shared<DeviceSet>();
  ds->cleanup_deleted_devices();
  auto done = stray::make_chan<bool>();
  stray::go([ds, done] {
    std::lock_guard locked(ds->lock);
    done.send(true);
  });
  stray::select(stray::on_recv(stray::after(std::chrono::milliseconds(1))), stray::on_recv(done));
}

void start() {
  stray::testing::fake_clock clock;
  stray::go(test_devmapper_lock_released_device_deletion);
  while (stray::num_goroutine() > 1) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
