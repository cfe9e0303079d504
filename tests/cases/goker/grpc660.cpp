// A benchmark starts a call and waits for its end, or for the stop. The stop comes first, and the call's end is sent to nobody.
// expect: 1 BenchmarkClient::do_close_loop_unary::lambda [chan send] proven @done
// go: required
#include <memory>

#include "report.hpp"

struct BenchmarkClient {
  stray::chan<bool> stop = stray::make_chan<bool>();

  void do_close_loop_unary(const stray::recv_chan<void>& gate) {
    for (;;) {
      auto done = stray::make_chan<bool>();
      stray::go([done, gate] {
        gate.recv();
        done.send(true);  // here: done
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
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
