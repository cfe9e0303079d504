// Both callers keep a handle of the channel that they give away.
// expect: nothing
#include "report.hpp"

void wait_for_value(const stray::chan<int>& ch) { ch.recv(); }

template <class F>
[[gnu::noinline]] void spawn_task(F f) {
  stray::go([f = std::move(f)] { f(); });
}

stray::chan<int> keep_handle(int waiters) {
  auto ch = stray::make_chan<int>();
  for (int i = 0; i < waiters; i++) spawn_task([ch] { wait_for_value(ch); });
  return ch;
}

int main() {
  stray::chan<int> one = keep_handle(1), two = keep_handle(2);
  stray::testing::until_parked(3);
  int status = report::print();
  one.close();
  two.close();
  return status;
}
