// The channel lies in a block with a mapping of its own, beside which the tracer's own tables come to lie: their bounds are
// addresses beside the block, and must not keep it alive.
// expect: 1 main::lambda [chan receive] proven @receive
#include <memory>

#include "report.hpp"

struct owner {
  stray::chan<int> ch = stray::make_chan<int>();
  char far[200'000];
};

int main() {
  stray::go([] {
    auto own = std::make_unique<owner>();
    own->ch.recv();  // here: receive
  });
  stray::testing::until_parked(1);
  return report::print();
}
