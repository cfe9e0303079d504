// main waits for one that lives, so it may still use the channel that it holds.
// expect: nothing
#include <thread>

#include "report.hpp"

int main() {
  auto ch = stray::make_chan<int>();
  auto asked = stray::make_chan<void>();
  stray::go([ch] { ch.recv(); });
  std::thread reporter([asked] {
    stray::testing::until_parked(1);
    report::print();
    asked.close();
  });
  asked.recv();
  ch.close();
  report::until_finished();
  reporter.join();
}
