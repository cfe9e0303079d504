// The gate was open from the beginning.
// expect: nothing
#include "report.hpp"

int main() {
  auto gate = stray::make_chan<void>();
  gate.close();
  stray::go([ch = stray::make_chan<int>(), gate] {
    stray::go([&ch, gate] {
      gate.recv();
      ch.send(1);
    });
    ch.recv();
  });
  report::until_finished();
  return report::print();
}
