// The context could be cancelled by a stop_source, but that is gone without a request. The standard tells nobody: the callback stays, and
// the block that holds it is referred to by nothing. So it is likely, not proven.
// expect: 1 start::lambda [chan receive] likely @done
#include "report.hpp"

std::stop_source* kept;

void start() {
  std::stop_source source;
  stray::context ctx = stray::with_stop_token(stray::background(), source.get_token()).ctx;
  stray::go([ctx] {
    ctx.done().recv();  // here: done
  });
}

int main() {
  start();
  stray::testing::until_parked(1);
  return report::print({.min_tier = stray::leak::tier::likely});
}
