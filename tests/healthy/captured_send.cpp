// The channels have room.
// expect: nothing
#include <string>

#include "report.hpp"

void publish() {
  auto results = stray::make_chan<std::string>(1);
  std::string result = "a result that is too long for the string itself";
  stray::go([results, result] { results.send(result); });
}
void publish_moved() {
  auto results = stray::make_chan<std::string>(1);
  stray::go([results, result = std::string("another result that is too long for the string itself")]() mutable {
    results.send(std::move(result));
  });
}

int main() {
  publish();
  publish_moved();
  report::until_finished();
  return report::print();
}
