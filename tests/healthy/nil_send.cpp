// The channel exists and has room.
// expect: nothing
#include "report.hpp"

int main() {
  stray::go([] {
    stray::chan<int> ch = stray::make_chan<int>(1);
    ch.send(1);
  });
  report::until_finished();
  return report::print();
}
