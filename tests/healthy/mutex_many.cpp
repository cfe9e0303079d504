// main still holds the channel that the owner waits for.
// expect: nothing
#include <mutex>

#include "report.hpp"

stray::mutex m;

stray::chan<int> hold_until_told() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::lock_guard lock(m);
    ch.recv();
  });
  return ch;
}

int main() {
  auto tell = hold_until_told();
  stray::testing::until_parked(1);
  for (int i = 0; i < 1000; i++) {
    stray::go([] { std::lock_guard lock(m); });
  }
  stray::testing::until_parked(1001);
  int status = report::print();
  tell.close();
  report::until_finished();
  return status;
}
