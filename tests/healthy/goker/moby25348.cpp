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

[[gnu::noinline]] void start() {
  stray::go([] { Manager().init(); });
  report::until_finished();
}

int main() {
  start();
  return report::print();
}
