// A device is deleted twice at a time. To delete it is to lock the set, then the device, to unlock the set while it is being removed, and
// to lock the set again: the second has locked the set meanwhile, and waits for the device.
// expect: 1 DeviceSet::delete_device [sync.Mutex.Lock] cycle @device
// expect: 1 DeviceSet::remove_device_and_wait [sync.Mutex.Lock] cycle @set
// go: allowed
// cause: they wait for each other: goroutine N at @device [sync.Mutex.Lock] -> goroutine N at @set [sync.Mutex.Lock] -> goroutine N
#include <map>
#include <memory>
#include <mutex>

#include "report.hpp"

struct DevInfo {
  stray::mutex lock;
};

struct DeviceSet {
  stray::mutex lock;
  std::map<std::string, DevInfo> infos;

  void delete_device(const std::string& hash, const stray::recv_chan<void>& removed) {
    std::unique_lock set(lock);
    DevInfo& info = infos[hash];
    std::lock_guard device(info.lock);  // here: device
    remove_device_and_wait(removed);
  }
  void remove_device_and_wait(const stray::recv_chan<void>& removed) {
    lock.unlock();
    removed.recv();
    lock.lock();  // here: set
  }
};

void start() {
  auto removed = stray::make_chan<void>();
  auto devices = std::make_shared<DeviceSet>();
  for (int i = 0; i < 2; i++) {
    stray::go([devices, removed = stray::recv_chan<void>(removed)] { devices->delete_device("info1", removed); });
  }
  stray::testing::until_parked(2);
  removed.close();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
