// Somebody is done.
// expect: nothing
#include "report.hpp"

int main() {
  stray::go([] {
    stray::wait_group group;
    group.go([] {});
    group.wait();
  });
  report::until_finished();
  return report::print();
}
