// A server is told to stop three times. The second stop finds it draining already and locks the mutex that it has just locked, so no
// other waits but for itself; serve, which had not begun yet, waits for the same mutex.
// expect: 1 Server::graceful_stop [sync.Mutex.Lock] cycle @again
// expect: 1 Server::serve [sync.Mutex.Lock] proven @serve
// go: allowed
// cause: it holds the lock (in heap memory) itself: locked twice; a root leak: 1 other is leaked because of it
// cause: the lock (in heap memory) is held by goroutine N, which is itself leaked; goroutine N is blocked at @again [sync.Mutex.Lock]
#include <memory>

#include "report.hpp"

struct Server {
  stray::mutex mu;
  bool drain = false;

  void graceful_stop() {
    mu.lock();
    if (drain) {
      mu.lock();  // here: again
      return;
    }
    drain = true;
    mu.unlock();
  }
  void serve() {
    mu.lock();  // here: serve
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
  stray::testing::until_parked(2);
  gate.close();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
