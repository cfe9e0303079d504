// main still holds the channel that it waits for.
// expect: nothing
#include "report.hpp"

stray::once initialised;

int main() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] { initialised.call([&ch] { ch.recv(); }); });
  stray::testing::until_parked(1);
  for (int i = 0; i < 10; i++) {
    stray::go([] { initialised.call([] {}); });
  }
  stray::testing::until_parked(11);
  int status = report::print();
  ch.close();
  report::until_finished();
  return status;
}
