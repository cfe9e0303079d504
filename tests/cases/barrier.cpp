// Three are expected, two come and only they know the barrier.
// expect: 2 meet [sync.Barrier.Wait] proven @wait
// cause: nothing alive refers to what it waits on (in heap memory); 1 of 3 have not arrived
#include <memory>

#include "report.hpp"

void meet(std::shared_ptr<stray::barrier<>> b) {
  b->arrive_and_wait();  // here: wait
}

[[gnu::noinline]] void start() {
  auto b = std::make_shared<stray::barrier<>>(3);
  for (int i = 0; i < 2; i++) stray::go(meet, b);
}

int main() {
  start();
  stray::testing::until_parked(2);
  return report::print();
}
