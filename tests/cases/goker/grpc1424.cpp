// A dial starts a watcher and waits until it says that it is done. The watcher's addresses are closed, so it ends, and does not say so.
// expect: 1 dial_context::lambda [chan receive] proven @done
// go: required
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
    (void)done;
    for ([[maybe_unused]] bool address : balancer.notify()) {
      for (const auto& c : conns) c->tear_down();
    }
  }
};

void dial_context() {
  auto cc = std::make_shared<ClientConn>();
  stray::go([cc] {
    auto done = stray::make_chan<void>();
    stray::go([cc, done] { cc->lb_watcher(done); });
    done.recv();  // here: done
  });
  cc->balancer.addresses.close();
}

void start() {
  dial_context();
  stray::testing::until_parked(1);
  while (stray::num_goroutine() > 2) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
