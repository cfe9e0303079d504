// It tells after it has unlocked.
// expect: nothing
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
    lock.unlock();
    if (!removed.empty()) notify();
  }
  void notify() { std::shared_lock lock(mut); }
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
