// It does not.
// expect: nothing
#include "report.hpp"

stray::once initialised;

void initialise() { stray::yield(); }

int main() {
  stray::go([] { initialised.call(initialise); });
  stray::go([] { initialised.call(initialise); });
  report::until_finished();
  return report::print();
}
