// A tree of goroutines, five levels deep. Every node leaves a receiver behind and asks for the report, all at about the same time.
// A later report never has less than one that was complete before it was asked for.
// expect: 31 node::lambda [chan receive] proven @receive
#include <atomic>

#include "report.hpp"

std::atomic<std::size_t> most_seen{0};
std::atomic<bool> lost_one{false};

void node(int depth, stray::wait_group& all) {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    ch.recv();  // here: receive
  });
  if (depth > 1) {
    for (int i = 0; i < 2; i++) all.go([depth, &all] { node(depth - 1, all); });
  }
  std::size_t before = most_seen;
  std::size_t seen = stray::leak::find().total();
  if (seen < before) lost_one = true;
  while (before < seen && !most_seen.compare_exchange_weak(before, seen)) {
  }
}

int main() {
  stray::wait_group all;
  all.go([&all] { node(5, all); });
  all.wait();
  stray::testing::until_parked(31);
  if (lost_one) std::cout << "a later report had less\n";
  return report::print();
}
