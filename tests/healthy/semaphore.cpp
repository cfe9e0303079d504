// Another goroutine releases it.
// expect: nothing
#include "report.hpp"

int main() {
  stray::go([] {
    stray::semaphore permits(1);
    permits.acquire();
    stray::go([&permits] { permits.release(); });
    permits.acquire();
  });
  report::until_finished();
  return report::print();
}
