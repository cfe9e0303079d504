// The child sends before it is done; the parent waits for it to be done before it would receive.
// expect: 1 parent [sync.WaitGroup.Wait] proven @wait
// expect: 1 parent::lambda [chan send] proven @send
#include "report.hpp"

void parent() {
  auto results = stray::make_chan<int>();
  stray::wait_group group;
  group.add(1);
  stray::go([results, &group] {
    results.send(1);  // here: send
    group.done();
  });
  group.wait();  // here: wait
  results.recv();
}

int main() {
  stray::go(parent);
  stray::testing::until_parked(2);
  return report::print();
}
