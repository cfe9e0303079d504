// One of the two that could send gets its value.
// expect: nothing
#include <optional>

#include "report.hpp"

[[gnu::noinline]] void wait_for_one(const stray::recv_chan<int>& in) { in.recv(); }

stray::wait_group group;

[[gnu::noinline]] void start() {
  auto in = stray::make_chan<int>(1);
  stray::go(wait_for_one, in);
  group.add(1);
  stray::go([out = stray::send_chan<int>(in)] {
    group.wait();
    out.send(1);
  });
  stray::go([out = stray::send_chan<int>(in)] {
    std::optional<int> nothing;
    stray::make_chan<int>().try_recv(nothing);
    out.send(2);
  });
}

int main() {
  start();
  group.done();
  report::until_finished();
  return report::print();
}
