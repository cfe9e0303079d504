// The set is free while somebody waits for the device.
// expect: nothing
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
    set.unlock();
    std::lock_guard device(info.lock);
    set.lock();
    remove_device_and_wait(removed);
  }
  void remove_device_and_wait(const stray::recv_chan<void>& removed) {
    lock.unlock();
    removed.recv();
    lock.lock();
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
