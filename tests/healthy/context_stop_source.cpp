// The stop_source is there.
// expect: nothing
#include "report.hpp"

std::stop_source* kept;

void start() {
  std::stop_source source;
  stray::context ctx = stray::with_stop_token(stray::background(), source.get_token()).ctx;
  stray::go([ctx] { ctx.done().recv(); });
  kept = new std::stop_source(source);
}

int main() {
  start();
  stray::testing::until_parked(1);
  int status = report::print({.min_tier = stray::leak::tier::likely});
  kept->request_stop();
  report::until_finished();
  return status;
}
