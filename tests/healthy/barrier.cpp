// The third one drops out.
// expect: nothing
#include <memory>

#include "report.hpp"

void meet(std::shared_ptr<stray::barrier<>> b) { b->arrive_and_wait(); }

[[gnu::noinline]] void start() {
  auto b = std::make_shared<stray::barrier<>>(3);
  for (int i = 0; i < 2; i++) stray::go(meet, b);
  b->arrive_and_drop();
}

int main() {
  start();
  report::until_finished();
  return report::print();
}
