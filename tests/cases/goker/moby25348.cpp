// A manager starts a goroutine for each of two plugins, and after each start waits until both are done: it never starts the second.
// expect: 1 Manager::init [sync.WaitGroup.Wait] proven @wait
// go: required
// cause: nothing alive refers to what it waits on (on the stack of goroutine N)
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
      group.wait();  // here: wait
    }
  }
};

void start() {
  stray::go([] { Manager().init(); });
  stray::testing::until_parked(1);
  while (stray::num_goroutine() > 2) stray::yield();  // the first plugin's goroutine has ended
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
