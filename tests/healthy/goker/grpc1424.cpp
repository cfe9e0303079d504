// The watcher closes the channel when it ends.
// expect: nothing
#include <memory>
#include <vector>

#include "report.hpp"

struct RoundRobin {
  stray::chan<bool> addresses = stray::make_chan<bool>();
  stray::recv_chan<bool> notify() const { return addresses; }
};

struct AddrConn {
  stray::mutex mu;
  void tear_down() { std::lock_guard lock(mu); }
};

struct ClientConn {
  RoundRobin balancer;
  std::vector<std::shared_ptr<AddrConn>> conns;

  void lb_watcher(const stray::chan<void>& done) {
    for ([[maybe_unused]] bool address : balancer.notify()) {
      for (const auto& c : conns) c->tear_down();
    }
    done.close();
  }
};

void dial_context() {
  auto cc = std::make_shared<ClientConn>();
  stray::go([cc] {
    auto done = stray::make_chan<void>();
    stray::go([cc, done] { cc->lb_watcher(done); });
    done.recv();
  });
  cc->balancer.addresses.close();
}

void start() { dial_context(); }

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
