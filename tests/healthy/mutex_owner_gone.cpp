// The owner unlocks before it returns.
// expect: nothing
#include <mutex>

#include "report.hpp"

stray::mutex m;

int main() {
  stray::go([] { std::lock_guard lock(m); });
  report::until_finished();
  stray::go([] { m.lock(); });
  report::until_finished();
  return report::print();
}
