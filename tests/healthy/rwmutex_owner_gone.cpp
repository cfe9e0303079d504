// It unlocks before it returns.
// expect: nothing
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

stray::shared_mutex read_once, written_once;

int main() {
  stray::go([] {
    std::shared_lock reading(read_once);
    std::lock_guard writing(written_once);
  });
  report::until_finished();
  stray::go([] { std::lock_guard lock(read_once); });
  stray::go([] { std::shared_lock lock(written_once); });
  report::until_finished();
  return report::print();
}
