// A select without cases blocks for ever.
// expect: 1 main::lambda [select (no cases)] proven @select
#include "report.hpp"

int main() {
  stray::go([] {
    stray::select();  // here: select
  });
  stray::testing::until_parked(1);
  return report::print();
}
