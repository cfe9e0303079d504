// The parent receives first.
// expect: nothing
#include "report.hpp"

void parent() {
  auto results = stray::make_chan<int>();
  stray::wait_group group;
  group.add(1);
  stray::go([results, &group] {
    results.send(1);
    group.done();
  });
  results.recv();
  group.wait();
}

int main() {
  stray::go(parent);
  report::until_finished();
  return report::print();
}
