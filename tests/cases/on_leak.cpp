// The background watch calls back for a leak, and never again for the same one.
// expect: 1 receive_for_ever::lambda [chan receive] proven @receive
#include <chrono>

#include "report.hpp"

void receive_for_ever() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    ch.recv();  // here: receive
  });
}

int main() {
  using namespace std::chrono_literals;
  stray::testing::fake_clock clock;
  int calls = 0;
  auto watch = stray::leak::on_leak(
      [&calls](const stray::leak::report& r) {
        calls++;
        report::print(r);
      },
      1h);
  receive_for_ever();
  stray::testing::until_parked(1);
  for (int looks = 0; looks < 3; looks++) {
    stray::testing::until_pending(1);
    clock.advance(1h);
  }
  stray::testing::until_pending(1);
  return calls == 1 ? 0 : 1;
}
