// The background watch is silent while somebody can still send.
// expect: nothing
#include <chrono>

#include "report.hpp"

int main() {
  using namespace std::chrono_literals;
  stray::testing::fake_clock clock;
  auto watch = stray::leak::on_leak([](const stray::leak::report& r) { report::print(r); }, 1h);
  auto ch = stray::make_chan<int>();
  stray::go([ch] { ch.recv(); });
  stray::testing::until_parked(1);
  for (int looks = 0; looks < 3; looks++) {
    stray::testing::until_pending(1);
    clock.advance(1h);
  }
  stray::testing::until_pending(1);
  ch.send(1);
  report::until_finished();
  return 0;
}
