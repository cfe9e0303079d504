// Started through a function of the program's own, by two callers; one of them keeps a handle of its channel.
// expect: 2 wait_for_value [chan receive] proven @receive
#include "report.hpp"

void wait_for_value(const stray::chan<int>& ch) {
  ch.recv();  // here: receive
}

template <class F>
[[gnu::noinline]] void spawn_task(F f) {
  stray::go([f = std::move(f)] { f(); });
}

void forget_handles() {
  for (int i = 0; i < 2; i++) spawn_task([ch = stray::make_chan<int>()] { wait_for_value(ch); });
}

stray::chan<int> keep_handle() {
  auto ch = stray::make_chan<int>();
  spawn_task([ch] { wait_for_value(ch); });
  return ch;
}

int main() {
  forget_handles();
  stray::chan<int> kept = keep_handle();
  stray::testing::until_parked(3);
  int status = report::print();
  kept.send(1);
  return status;
}
