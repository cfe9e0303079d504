// Not reported: whoever can reach a semaphore may release it, so a global one is never proven to be lost. The twin releases it.
// expect: nothing
#include "report.hpp"

stray::semaphore permits(0);

int main() {
  stray::go([] { permits.acquire(); });
  stray::testing::until_parked(1);
  return report::print();
}
