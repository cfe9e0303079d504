// A goroutine that the group does not count waits for it.
// expect: nothing
#include <memory>

#include "report.hpp"

[[gnu::noinline]] void start() {
  auto jobs = std::make_shared<stray::wait_group>();
  jobs->go([jobs] { stray::yield(); });
  stray::go([jobs] { jobs->wait(); });
}

int main() {
  start();
  report::until_finished();
  return report::print();
}
