// The closure holds the channel and the value that it sends: the blocked send points back into the closure, which keeps nothing alive.
// expect: 1 publish::lambda [chan send] proven @copy
// expect: 1 publish_moved::lambda [chan send] proven @move
#include <string>

#include "report.hpp"

void publish() {
  auto results = stray::make_chan<std::string>();
  std::string result = "a result that is too long for the string itself";
  stray::go([results, result] {
    results.send(result);  // here: copy
  });
}
void publish_moved() {
  auto results = stray::make_chan<std::string>();
  stray::go([results, result = std::string("another result that is too long for the string itself")]() mutable {
    results.send(std::move(result));  // here: move
  });
}

int main() {
  publish();
  publish_moved();
  stray::testing::until_parked(2);
  return report::print();
}
