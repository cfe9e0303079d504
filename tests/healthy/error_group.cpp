// It waits for the end of the group's context, too, which another one of the group brings about.
// expect: nothing
#include <stdexcept>

#include "report.hpp"

int main() {
  stray::go([] {
    stray::error_group group;
    auto ch = stray::make_chan<int>();
    group.go(
        [rx = stray::recv_chan<int>(ch), ctx = group.ctx()] { stray::select(stray::on_recv(rx), stray::on_recv(ctx.done())); });
    ch = {};
    group.go([] { throw std::runtime_error("enough"); });
    try {
      group.wait();
    } catch (const std::runtime_error&) {
    }
  });
  report::until_finished();
  return report::print();
}
