// The only other handle is a thread_local of a thread that sleeps outside stray: silent while it is there, a leak when the thread is gone.
// expect: 1 listen::lambda [chan receive] proven @receive
#include <future>
#include <thread>

#include "report.hpp"

thread_local stray::chan<int> kept;

void listen() {
  kept = stray::make_chan<int>();
  stray::go([ch = kept] {
    ch.recv();  // here: receive
  });
}

int main() {
  std::promise<void> end;
  std::thread keeper([ended = end.get_future()] {
    listen();
    ended.wait();
  });
  stray::testing::until_parked(1);
  report::expect_silent("a thread_local holds a handle");
  end.set_value();
  keeper.join();
  return report::print();
}
