// A stop that finds the server draining gives the lock back.
// expect: nothing
#include <memory>

#include "report.hpp"

struct Server {
  stray::mutex mu;
  bool drain = false;

  void graceful_stop() {
    mu.lock();
    if (drain) {
      mu.unlock();
      return;
    }
    drain = true;
    mu.unlock();
  }
  void serve() {
    mu.lock();
    mu.unlock();
  }
};

void test_server_graceful_stop_idempotent(const stray::recv_chan<void>& gate) {
  auto srv = std::make_shared<Server>();
  stray::go([srv, gate] {
    gate.recv();
    srv->serve();
  });
  for (int i = 0; i < 3; i++) srv->graceful_stop();
}

void start() {
  auto gate = stray::make_chan<void>();
  stray::go(test_server_graceful_stop_idempotent, gate);
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
