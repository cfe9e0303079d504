// A global leads to the block as well.
// expect: nothing
#include <memory>

#include "report.hpp"

struct owner {
  stray::chan<int> ch = stray::make_chan<int>();
  char far[200'000];
};
std::shared_ptr<owner> everyones;

int main() {
  everyones = std::make_shared<owner>();
  stray::go([] {
    auto own = everyones;
    own->ch.recv();
  });
  stray::testing::until_parked(1);
  return report::print();
}
