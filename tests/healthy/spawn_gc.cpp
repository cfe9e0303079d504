// Every node sends to its receiver.
// expect: nothing
#include "report.hpp"

void node(int depth, stray::wait_group& all) {
  auto ch = stray::make_chan<int>();
  stray::go([ch] { ch.recv(); });
  if (depth > 1) {
    for (int i = 0; i < 2; i++) all.go([depth, &all] { node(depth - 1, all); });
  }
  if (stray::leak::find().total() != 0) std::cout << "a false report\n";
  ch.send(1);
}

int main() {
  stray::wait_group all;
  all.go([&all] { node(5, all); });
  all.wait();
  report::until_finished();
  return report::print();
}
