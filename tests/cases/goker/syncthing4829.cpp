// A mapping clears its addresses with its lock held for writing, and tells about it; telling locks it for reading.
// expect: 1 Mapping::notify [sync.RWMutex.RLock] cycle @read
// go: required
// cause: it holds the lock (in heap memory) itself: locked twice
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "report.hpp"

struct Mapping {
  stray::shared_mutex mut;
  std::map<std::string, int> ext_addresses;

  void clear_addresses() {
    std::unique_lock lock(mut);
    auto removed = std::exchange(ext_addresses, {});
    if (!removed.empty()) notify();
  }
  void notify() {
    std::shared_lock lock(mut);  // here: read
  }
};

struct Service {
  stray::shared_mutex mut;
  std::vector<std::shared_ptr<Mapping>> mappings;

  std::shared_ptr<Mapping> new_mapping() {
    std::lock_guard lock(mut);
    mappings.push_back(std::make_shared<Mapping>());
    return mappings.back();
  }
  void remove_mapping(const std::shared_ptr<Mapping>& mapping) {
    std::lock_guard lock(mut);
    for (const auto& existing : mappings) {
      if (existing == mapping) mapping->clear_addresses();
    }
  }
};

void start() {
  stray::go([] {
    Service nat;
    auto m = nat.new_mapping();
    m->ext_addresses["test"] = 0;
    nat.remove_mapping(m);
  });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
