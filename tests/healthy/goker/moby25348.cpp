// It waits once, after the loop.
// expect: nothing
#include <memory>
#include <vector>

#include "report.hpp"

struct Plugin {};

struct Manager {
  std::vector<std::shared_ptr<Plugin>> plugins{std::make_shared<Plugin>(), std::make_shared<Plugin>()};

  void init() {
    stray::wait_group group;
    group.add(static_cast<std::int64_t>(plugins.size()));
    for (const auto& p : plugins) {
      stray::go([p, &group] { group.done(); });
    }
    group.wait();
  }
};

void start() {
  stray::go([] { Manager().init(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
