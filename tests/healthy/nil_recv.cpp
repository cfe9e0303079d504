// The channel exists and is closed.
// expect: nothing
#include "report.hpp"

int main() {
  stray::go([] {
    stray::chan<int> ch = stray::make_chan<int>();
    ch.close();
    ch.recv();
  });
  report::until_finished();
  return report::print();
}
