// The select has a default.
// expect: nothing
#include "report.hpp"

int main() {
  stray::go([] { stray::select(stray::on_default()); });
  report::until_finished();
  return report::print();
}
