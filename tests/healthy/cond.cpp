// Another goroutine notifies.
// expect: nothing
#include <mutex>

#include "report.hpp"

int main() {
  stray::go([] {
    stray::mutex m;
    stray::condition_variable changed;
    bool ready = false;
    stray::wait_group notifier;
    notifier.go([&] {
      std::lock_guard lock(m);
      ready = true;
      changed.notify_one();
    });
    {
      std::unique_lock lock(m);
      while (!ready) changed.wait(lock);
    }
    notifier.wait();
  });
  report::until_finished();
  return report::print();
}
