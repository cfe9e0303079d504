// main blocks for ever and so never uses the channel that it holds. The goroutine is a leak; main is none: its end is the process's.
// blind: it goes on when it has found its leak
// expect: 1 main::lambda [chan receive] proven @receive
#include <thread>

#include "report.hpp"

int main() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    ch.recv();  // here: receive
  });
  std::thread([] {
    stray::testing::until_parked(1);
    for (;;) {
      stray::leak::report r = stray::leak::find();  // until main has blocked
      if (r.total() != 0) std::_Exit(report::print(r));
    }
  }).detach();
  stray::select();
}
