// The same threads of control, all of which somebody can wake: reclaim finds nothing to do, and all get what they wait for.
// expect: nothing
#include <mutex>

#include "report.hpp"

stray::mutex lock;

int main() {
  auto ch = stray::make_chan<int>();
  for (int i = 0; i < 3; i++) {
    stray::go([ch] {
      std::lock_guard held(lock);
      ch.recv();
    });
  }
  stray::testing::until_parked(3);
  stray::leak::reclaim_report r = stray::leak::reclaim(stray::leak::find());
  if (!r.goroutines.empty()) std::cout << r;
  for (int i = 0; i < 3; i++) ch.send(i);
  report::until_finished();
  return report::print();
}
