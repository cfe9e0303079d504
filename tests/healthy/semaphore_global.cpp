// main releases it.
// expect: nothing
#include "report.hpp"

stray::semaphore permits(0);

int main() {
  stray::go([] { permits.acquire(); });
  stray::testing::until_parked(1);
  permits.release();
  report::until_finished();
  return report::print();
}
