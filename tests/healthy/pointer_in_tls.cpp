// The thread closes the channel before it ends.
// expect: nothing
#include <future>
#include <thread>

#include "report.hpp"

thread_local stray::chan<int> kept;

void listen() {
  kept = stray::make_chan<int>();
  stray::go([ch = kept] { ch.recv(); });
}

int main() {
  std::promise<void> end;
  std::thread keeper([ended = end.get_future()] {
    listen();
    ended.wait();
    kept.close();
  });
  stray::testing::until_parked(1);
  report::expect_silent("a thread_local holds a handle");
  end.set_value();
  keeper.join();
  report::until_finished();
  return report::print();
}
