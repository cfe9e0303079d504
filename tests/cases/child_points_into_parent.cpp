// The only handle of the channel is in the parent's closure, and the parent is blocked; but its child lives and points into that closure.
// expect: nothing
#include "report.hpp"

int main() {
  auto gate = stray::make_chan<void>();
  stray::go([ch = stray::make_chan<int>(), gate] {
    stray::go([&ch, gate] {
      gate.recv();
      ch.send(1);
    });
    ch.recv();
  });
  stray::testing::until_parked(2);
  int status = report::print();
  gate.close();
  report::until_finished();
  return status;
}
