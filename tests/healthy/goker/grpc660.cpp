// A call's end has a place to lie.
// expect: nothing
#include <memory>

#include "report.hpp"

struct BenchmarkClient {
  stray::chan<bool> stop = stray::make_chan<bool>();

  void do_close_loop_unary(const stray::recv_chan<void>& gate) {
    for (;;) {
      auto done = stray::make_chan<bool>(1);
      stray::go([done, gate] {
        gate.recv();
        done.send(true);
      });
      if (stray::select(stray::on_recv(stop), stray::on_recv(done)) == 0) return;
    }
  }
};

void start() {
  auto gate = stray::make_chan<void>();
  auto client = std::make_shared<BenchmarkClient>();
  stray::go([client, gate = stray::recv_chan<void>(gate)] { client->do_close_loop_unary(gate); });
  stray::testing::until_parked(2);
  client->stop.send(true);
  stray::testing::until_parked(1);
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
