// Both readers wait for main.
// expect: nothing
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

stray::shared_mutex m;

int main() {
  auto tell = stray::make_chan<int>();
  for (int i = 0; i < 2; i++) {
    stray::go([tell] {
      std::shared_lock lock(m);
      tell.recv();
    });
  }
  stray::testing::until_parked(2);
  stray::go([] { std::lock_guard lock(m); });
  stray::testing::until_parked(3);
  stray::go([] { std::shared_lock lock(m); });
  stray::testing::until_parked(4);
  int status = report::print();
  tell.close();
  report::until_finished();
  return status;
}
